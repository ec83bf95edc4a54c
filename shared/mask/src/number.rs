//! Where a number of digits and separators may begin and end.

/// Whether a number may begin behind `before`: not as the fraction of another.
pub(crate) fn may_begin(before: &[u8]) -> bool {
    !matches!(before, [.., digit, b'.'] if digit.is_ascii_digit())
}

/// Whether a number may end before `after`: not as the whole part of another.
pub(crate) fn may_end(after: &[u8]) -> bool {
    !matches!(after, [b'.', digit, ..] if digit.is_ascii_digit())
}
