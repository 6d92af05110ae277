# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kverdict.errors import PatchError
from kverdict.uapi import facts_from_header

# include/uapi/linux/kvm.h of 7.2 with the write() series applied.
HEADER = """
#define KVM_MEM_GUEST_MEMFD\t(1UL << 2)
#define KVM_CAP_GUEST_MEMFD_FLAGS 244
#define KVM_CREATE_GUEST_MEMFD\t_IOWR(KVMIO,  0xd4, struct kvm_create_guest_memfd)
#define GUEST_MEMFD_FLAG_MMAP\t\t(1ULL << 0)
#define GUEST_MEMFD_FLAG_INIT_SHARED\t(1ULL << 1)
#define GUEST_MEMFD_FLAG_WRITE\t\t(1ULL << 2)

struct kvm_create_guest_memfd {
"""


def test_the_flags_of_a_patched_header() -> None:
    assert facts_from_header(HEADER).flags == {
        "GUEST_MEMFD_FLAG_INIT_SHARED": 2,
        "GUEST_MEMFD_FLAG_MMAP": 1,
        "GUEST_MEMFD_FLAG_WRITE": 4,
    }


def test_a_kernel_without_guest_memfd_flags_has_none() -> None:
    assert facts_from_header("#define KVM_CAP_GUEST_MEMFD 234\n").flags == {}


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        ("(1ULL << 3)", 8),
        ("( 1UL<<3 )", 8),
        ("1ull << 3", 8),
        ("_BITULL(3)", 8),
        ("BIT_ULL(63)", 1 << 63),
        ("0x8ULL", 8),
        ("8", 8),
        ("(1ULL << 3) /* since 6.18 */", 8),
        ("(1ULL << 3) // since 6.18", 8),
        ("\\\n\t(1ULL << 3)", 8),
    ],
)
def test_the_ways_to_write_a_bit(value: str, bits: int) -> None:
    found = facts_from_header(f"#define GUEST_MEMFD_FLAG_WRITE {value}\n")
    assert found.flags == {"GUEST_MEMFD_FLAG_WRITE": bits}


@pytest.mark.parametrize(
    "text",
    [
        "/* #define GUEST_MEMFD_FLAG_WRITE (1ULL << 2) */\n",
        "/*\n#define GUEST_MEMFD_FLAG_WRITE (1ULL << 2)\n*/\n",
        "// #define GUEST_MEMFD_FLAG_WRITE (1ULL << 2)\n",
        "#undef GUEST_MEMFD_FLAG_WRITE\n",
        "#define KVM_GUEST_MEMFD_FLAG_WRITE (1ULL << 2)\n",
    ],
)
def test_what_is_not_defined_is_not_found(text: str) -> None:
    assert facts_from_header(text).flags == {}


@pytest.mark.parametrize(
    "value", ["(1ULL << 64)", "3", "0", "FLAG(2)", "(1ULL << 1) | (1ULL << 2)", "1" * 5000]
)
def test_a_value_that_is_no_bit_is_the_patchs_fault(value: str) -> None:
    with pytest.raises(PatchError, match="GUEST_MEMFD_FLAG_WRITE"):
        facts_from_header(f"#define GUEST_MEMFD_FLAG_WRITE {value}\n")


def test_two_values_for_one_flag_are_the_patchs_fault() -> None:
    text = "#define GUEST_MEMFD_FLAG_WRITE 4\n#define GUEST_MEMFD_FLAG_WRITE 8\n"
    with pytest.raises(PatchError):
        facts_from_header(text)


@given(st.text(alphabet="#define GUEST_MEMFD_FLAG_WX(1ULL<)/*\\\n0x29 \t", max_size=300))
def test_any_text_gives_facts_or_the_patchs_fault(text: str) -> None:
    try:
        flags = facts_from_header(text + "\n#define GUEST_MEMFD_FLAG_" + text).flags
    except PatchError:
        return
    assert all(value.bit_count() == 1 for value in flags.values())
