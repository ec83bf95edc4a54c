//! `numeric`: a count of groups of four digits, the weight of the first group, sign, scale, and the groups.

const POSITIVE: u16 = 0;
const NEGATIVE: u16 = 0x4000;
const NOT_A_NUMBER: u16 = 0xc000;
const INFINITY: u16 = 0xd000;
const NEGATIVE_INFINITY: u16 = 0xf000;
/// Largest scale (`NUMERIC_DSCALE_MASK`).
const MAX_SCALE: u16 = 0x3fff;
/// A group is less than this.
const BASE: u16 = 10_000;
/// Zeros that are written although no group says them. A few bytes can stand for more than a hundred thousand.
const MAX_ZEROS: usize = 128;

/// The number; `None` if it is none, or one that would be much longer than its bytes.
pub(super) fn read(bytes: &[u8]) -> Option<String> {
    let (head, groups) = bytes.split_first_chunk::<8>()?;
    let [c0, c1, w0, w1, s0, s1, d0, d1] = *head;
    let weight = i16::from_be_bytes([w0, w1]);
    let [count, sign, scale] = [[c0, c1], [s0, s1], [d0, d1]].map(u16::from_be_bytes);
    let (groups, rest) = groups.as_chunks::<2>();
    let groups: Vec<u16> = groups.iter().map(|group| u16::from_be_bytes(*group)).collect();
    let is_whole = rest.is_empty() && groups.len() == usize::from(count);
    if !is_whole || scale > MAX_SCALE || groups.iter().any(|group| *group >= BASE) {
        return None;
    }
    match sign {
        POSITIVE => written("", &groups, weight, scale.into()),
        NEGATIVE => written("-", &groups, weight, scale.into()),
        NOT_A_NUMBER => Some("NaN".to_owned()),
        INFINITY => Some("Infinity".to_owned()),
        NEGATIVE_INFINITY => Some("-Infinity".to_owned()),
        _ => None,
    }
}

/// With as many digits after the point as the scale says: PostgreSQL drops what is beyond them when it reads one.
fn written(sign: &str, groups: &[u16], weight: i16, scale: usize) -> Option<String> {
    let before = usize::try_from(i32::from(weight) + 1).unwrap_or(0);
    if before.saturating_mul(4).saturating_add(scale)
        > groups.len().saturating_mul(4).saturating_add(MAX_ZEROS)
    {
        return None;
    }
    // Groups between the point and the first of them, where that is smaller.
    let missing = usize::try_from(-i32::from(weight) - 1).unwrap_or(0);
    let all = std::iter::repeat_n(0, missing.min(scale)).chain(groups.iter().copied());
    let digits: String = all.chain(std::iter::repeat(0)).take(before + scale.div_ceil(4)).map(four).collect();
    let (whole, fraction) = digits.split_at_checked(before.saturating_mul(4))?;
    let fraction = fraction.get(..scale)?;
    let whole = whole.trim_start_matches('0');
    let is_zero = whole.is_empty() && fraction.bytes().all(|digit| digit == b'0');
    let sign = if is_zero { "" } else { sign };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

fn four(group: u16) -> String {
    format!("{group:04}")
}
