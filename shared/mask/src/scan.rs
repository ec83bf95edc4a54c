//! How a text is skipped through, many bytes at a time.

/// Bytes that are tested at once.
const STRIDE: usize = 32;
/// Bytes that are tested one by one before, for texts in which what is looked for is frequent.
const STEPS: usize = 16;

/// The first byte for which `distance` is 0. That should be arithmetic on bytes, without branches: the
/// compiler then makes vector code of it.
pub(crate) fn first(text: &[u8], distance: impl Fn(u8) -> u8) -> Option<usize> {
    let near = text.iter().take(STEPS).position(|byte| distance(*byte) == 0);
    near.or_else(|| Some(STEPS + first_far(text.get(STEPS..)?, distance)?))
}

fn first_far(text: &[u8], distance: impl Fn(u8) -> u8) -> Option<usize> {
    let (strides, rest) = text.as_chunks::<STRIDE>();
    for (skipped, stride) in strides.iter().enumerate() {
        if stride.iter().fold(u8::MAX, |least, byte| least.min(distance(*byte))) == 0 {
            return stride.iter().position(|byte| distance(*byte) == 0).map(|at| skipped * STRIDE + at);
        }
    }
    rest.iter().position(|byte| distance(*byte) == 0).map(|at| strides.len() * STRIDE + at)
}

/// The first digit.
pub(crate) fn first_digit(text: &[u8]) -> Option<usize> {
    first(text, |byte| byte.wrapping_sub(b'0').saturating_sub(9))
}

/// How many bytes pass before the first that does not.
pub(crate) fn count(text: &[u8], passes: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|byte| passes(**byte)).count()
}

/// How many bytes pass behind the last that does not.
pub(crate) fn count_back(text: &[u8], passes: impl Fn(u8) -> bool) -> usize {
    text.iter().rev().take_while(|byte| passes(**byte)).count()
}
