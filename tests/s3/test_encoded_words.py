"""Encoded words as returned by AWS (B029, B136)."""

from email.header import decode_header, make_header

import pytest

from post3.s3.encoded_words import MAX_ENCODED, encode

LONG = (
    "Workout Completed: Congratulations!  You just completed the \u201cFinding Vocal Freedom Workout\u201d.  Make sure you drink "
    "some water, rest your voice, and review your lesson in your vocal journal.  Make comments about how you felt, the "
    "circumstances of your workout, and anything you think you did poorly or well.  Be sure to come back tomorrow for another "
    "workout!  Practicing on a daily basis is key to growth."
)
#: Words recorded from AWS: github.com/aws-amplify/aws-sdk-ios/issues/241.
RECORDED = [
    "=?UTF-8?Q?Workout_Completed:_Congratulations!__You_just_comp?=",
    "=?UTF-8?Q?leted_the_=E2=80=9CFinding_Vocal_?=",
    "=?UTF-8?Q?Freedom_Workout=E2=80=9D.__Make_su?=",
]


@pytest.mark.parametrize(
    ("text", "recorded"),
    [
        ("\u00c4M\u00c4Z\u00d5\u00d1 S3", "=?UTF-8?Q?=C3=84M=C3=84Z=C3=95=C3=91_S3?="),
        ("test_\u2014_file%E2%80%94_\u00e9_2?.pdf", "=?UTF-8?Q?test=5F=E2=80=94=5Ffile%E2%80%94=5F=C3=A9=5F2=3F.pdf?="),
        (
            "test_\u2014_file%E2%80%94_\u00e9_2\U0001f451.pdf",
            "=?UTF-8?Q?test=5F=E2=80=94=5Ffile%E2%80%94=5F=C3=A9=5F2=F0=9F=91=91.pdf?=",
        ),
        ("non-ascii-%E2%80%94_\u2014_\u00e9_", "=?UTF-8?Q?non-ascii-%E2%80%94=5F=E2=80=94=5F=C3=A9=5F?="),
        ("\ufffd" * 7, "=?UTF-8?B?77+977+977+977+977+977+977+9?="),
        ("\u00c3\u00b6", "=?UTF-8?B?w4PCtg==?="),
        ("Mini\u00c3\u00b6", "=?UTF-8?Q?Mini=C3=83=C2=B6?="),
    ],
)
def test_text_is_encoded_as_aws_encodes_it(text: str, recorded: str) -> None:
    assert encode(text) == recorded


def test_long_text_is_halved_until_its_words_fit() -> None:
    words = encode(LONG).split(" ")
    assert words[:3] == RECORDED
    assert all(len(word) - len("=?UTF-8?Q??=") <= MAX_ENCODED for word in words)
    assert str(make_header(decode_header(" ".join(words)))) == LONG


@pytest.mark.parametrize("text", ["\U0001f600" * 40, "\u00fc" * 1000, "a\U0001f600" * 30, "\u00fc", "\U0001f600", "\u00fc " * 50])
def test_encoded_text_is_decoded_to_itself(text: str) -> None:
    encoded = encode(text)
    assert encoded.isascii() and encoded.isprintable()
    assert str(make_header(decode_header(encoded))) == text
