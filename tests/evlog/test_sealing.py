"""What is sealed opens with its key, in its place, as what it was; anything else is refused."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evlog.errors import BrokenSealError
from evlog.records import Proto, Sealed, Struct, Value
from evlog.sealing import Cipher, Context

KEY_ID, KEY = bytes(range(16)), bytes(range(100, 132))
CIPHER = Cipher(KEY_ID, KEY)
PLACE = Context(b"\x07" * 16, "execution", 3, "properties", "operator")
VALUES: list[Value] = [
    0,
    -(2**63),
    0.5,
    math.inf,
    "",
    'é "\0',
    True,
    False,
    Struct({"a": [None, 1.5, {"b": "x"}], "unset": msgspec.msgpack.Ext(0, b"")}),
    Proto("type.googleapis.com/x.Y", b"\x08\x01"),
]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_a_value_of_every_type_comes_back_as_it_was(value: Value) -> None:
    found = CIPHER.unseal(CIPHER.seal(value, PLACE), PLACE)
    assert (type(found), found) == (type(value), value)


@given(
    st.one_of(st.text(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.booleans()),
    st.binary(min_size=32, max_size=32),
)
def test_any_value_comes_back_under_any_key(value: Value, key: bytes) -> None:
    cipher = Cipher(KEY_ID, key)
    found = cipher.unseal(cipher.seal(value, PLACE), PLACE)
    assert (type(found), found) == (type(value), value)


def test_another_key_is_refused() -> None:
    sealed = CIPHER.seal("Ana", PLACE)
    with pytest.raises(BrokenSealError, match="the key is not the one"):
        Cipher(KEY_ID, bytes(32)).unseal(sealed, PLACE)


def test_a_key_that_claims_to_be_the_one_is_refused() -> None:
    """Whoever puts another key's commitment into the record still has bytes that do not open."""
    other = Cipher(KEY_ID, bytes(32))
    claims = other.seal("Eve", PLACE)
    forged = msgspec.structs.replace(CIPHER.seal("Ana", PLACE), key_commitment=claims.key_commitment)
    with pytest.raises(BrokenSealError, match="altered"):
        other.unseal(forged, PLACE)


def test_a_value_that_is_not_the_one_committed_to_is_refused() -> None:
    sealed, other = CIPHER.seal("Ana", PLACE), CIPHER.seal("Ana", PLACE)
    swapped = msgspec.structs.replace(sealed, value_commitment=other.value_commitment)
    with pytest.raises(BrokenSealError, match="commits"):
        CIPHER.unseal(swapped, PLACE)


@pytest.mark.parametrize(
    "moved",
    [
        PLACE._replace(log_id=bytes(16)),
        PLACE._replace(kind="artifact"),
        PLACE._replace(node_id=4),
        PLACE._replace(field="custom_properties"),
        PLACE._replace(name="owner"),
    ],
    ids=lambda moved: str(next(name for name in moved._fields if getattr(moved, name) != getattr(PLACE, name))),
)
def test_a_sealed_value_does_not_open_in_another_place(moved: Context) -> None:
    with pytest.raises(BrokenSealError, match="another place"):
        CIPHER.unseal(CIPHER.seal("Ana", PLACE), moved)


def test_no_bit_of_a_sealed_value_can_be_changed() -> None:
    sealed = CIPHER.seal("Ana", PLACE)
    for field in ("nonce", "key_commitment", "value_commitment", "ciphertext"):
        data = getattr(sealed, field)
        for at in range(len(data)):
            for bit in range(8):
                flipped = bytearray(data)
                flipped[at] ^= 1 << bit
                with pytest.raises(BrokenSealError):
                    CIPHER.unseal(msgspec.structs.replace(sealed, **{field: bytes(flipped)}), PLACE)
        for shorter in (b"", data[:-1], data + b"\0"):
            with pytest.raises(BrokenSealError):
                CIPHER.unseal(msgspec.structs.replace(sealed, **{field: shorter}), PLACE)
    with pytest.raises(BrokenSealError):
        CIPHER.unseal(msgspec.structs.replace(sealed, type="INT"), PLACE)


def test_equal_values_are_sealed_differently_and_short_ones_have_one_length() -> None:
    first, second = CIPHER.seal("Ana", PLACE), CIPHER.seal("Ana", PLACE)
    for field in ("nonce", "value_commitment", "ciphertext"):
        assert getattr(first, field) != getattr(second, field)
    assert {len(CIPHER.seal("x" * size, PLACE).ciphertext) for size in range(40)} == {64 + 16}


def test_a_sealed_value_is_stored_under_its_tag() -> None:
    sealed = CIPHER.seal("Ana", PLACE)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(sealed), type=Value) == sealed
    assert isinstance(sealed, Sealed)
    assert b"\xa1t\xa6sealed" in msgspec.msgpack.encode(sealed)
