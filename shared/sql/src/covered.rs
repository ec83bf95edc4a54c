//! A statement's text without its data: literals and comments are covered, names, keywords and operators
//! stay.
//!
//! This follows the lexical rules of PostgreSQL 18 (`scan.l`) with `standard_conforming_strings = on`, and
//! covers too much where they differ between versions. It reads each byte twice at most; what it makes grows
//! with the text by as much as the label is longer than a literal.

use crate::lexical::{is_word, is_word_start};

/// The text with every constant, of whatever form, replaced by `label` in single quotes, numbers too, and
/// every comment by an empty one. Where the grammar wants a number (`varchar(3)`) the result is for people,
/// not for the parser.
///
/// `None` where nothing of the text can be shown: it is not UTF-8, has a zero byte, or ends within quotes or
/// a comment.
pub fn cover_literals(text: &[u8], label: &str) -> Option<String> {
    let label = format!("'{}'", label.replace('\'', "''"));
    cover(text, &label, &label)
}

/// What stands for a string and for a number is spelled as it goes into the text.
pub(crate) fn cover(text: &[u8], string: &str, number: &str) -> Option<String> {
    let sql = std::str::from_utf8(text).ok().filter(|sql| !sql.contains('\0'))?;
    let mut covered = String::with_capacity(sql.len());
    let mut rest = sql;
    while !rest.is_empty() {
        let (token, length) = token(rest)?;
        let (spelled, behind) = rest.split_at_checked(length)?;
        let shown = match token {
            Token::Shown => spelled,
            Token::String => string,
            Token::Number => number,
            Token::LineComment => "--…",
            Token::BlockComment => "/*…*/",
        };
        // What stands for a literal is not to be read together with what is before it.
        let joins = match (token, covered.as_bytes().last()) {
            (Token::String | Token::Number, Some(b'\'')) => true,
            (Token::String, Some(b'&')) => covered.ends_with("u&") || covered.ends_with("U&"),
            (Token::Number, Some(before)) => *before == b'&' || is_word(*before),
            _ => false,
        };
        if joins {
            covered.push(' ');
        }
        covered.push_str(shown);
        rest = behind;
    }
    Some(covered)
}

/// What becomes of a part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Shown,
    String,
    Number,
    LineComment,
    BlockComment,
}

/// The token that a text begins with, and its length in bytes, at least 1. `None` if it does not end.
fn token(sql: &str) -> Option<(Token, usize)> {
    let bytes = sql.as_bytes();
    match bytes {
        [b'-', b'-', ..] => Some((Token::LineComment, line(bytes))),
        [b'/', b'*', ..] => Some((Token::BlockComment, block_comment(bytes)?)),
        [b'\'', ..] => Some((Token::String, string(bytes, false)?)),
        [b'"', ..] => Some((Token::Shown, identifier(bytes)?)),
        [b'e' | b'E', b'\'', ..] => Some((Token::String, 1 + string(bytes.get(1..)?, true)?)),
        [b'b' | b'B' | b'x' | b'X', b'\'', ..] => Some((Token::String, 1 + string(bytes.get(1..)?, false)?)),
        [b'u' | b'U', b'&', b'\'', ..] => {
            let length = 2 + string(bytes.get(2..)?, false)?;
            let clause = escape_clause(bytes.get(length..)?)?;
            Some((Token::String, length + clause.map_or(0, |clause| clause.length)))
        }
        [b'u' | b'U', b'&', b'"', ..] => {
            let length = 2 + identifier(bytes.get(2..)?)?;
            let clause = escape_clause(bytes.get(length..)?)?.filter(|clause| clause.is_one_character);
            Some((Token::Shown, length + clause.map_or(0, |clause| clause.length)))
        }
        [b'$', rest @ ..] => dollar(rest),
        [b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..] => Some((Token::Number, number(bytes))),
        [first, ..] if is_word_start(*first) => Some((Token::Shown, count(bytes, is_word))),
        [_, ..] => Some((Token::Shown, 1)),
        [] => None,
    }
}

/// A string with its quotes and with those that continue it, between which there is a line break.
fn string(bytes: &[u8], escapes: bool) -> Option<usize> {
    let mut end = 1;
    loop {
        end += count(bytes.get(end..)?, |b| b != b'\'' && !(escapes && b == b'\\'));
        match bytes.get(end..)? {
            [b'\\', _, ..] => end += 2,
            [b'\'', b'\'', ..] => end += 2,
            [b'\'', after @ ..] => {
                let blanks = blanks(after);
                let between = after.get(..blanks)?;
                let continues =
                    after.get(blanks) == Some(&b'\'') && between.iter().any(|b| matches!(b, b'\n' | b'\r'));
                if !continues {
                    return Some(end + 1);
                }
                end += 1 + blanks + 1;
            }
            _ => return None,
        }
    }
}

/// A quoted identifier with its quotes. A doubled quote ends a part and begins the next, which comes to the
/// same.
fn identifier(bytes: &[u8]) -> Option<usize> {
    let inside = count(bytes.get(1..)?, |b| b != b'"');
    bytes.get(1 + inside).map(|_| inside + 2)
}

/// `UESCAPE 'c'` with what is before it.
struct EscapeClause {
    length: usize,
    is_one_character: bool,
}

/// The clause that a text begins with, if any.
fn escape_clause(bytes: &[u8]) -> Option<Option<EscapeClause>> {
    const WORD: &[u8] = b"uescape";
    let before = blanks(bytes);
    let after = bytes.get(before..)?;
    let (word, after) = after.split_at(count(after, is_word));
    if !word.eq_ignore_ascii_case(WORD) {
        return Some(None);
    }
    let between = blanks(after);
    let quoted = after.get(between..)?;
    if quoted.first() != Some(&b'\'') {
        return Some(None);
    }
    let length = string(quoted, false)?;
    let length_of_all = before + WORD.len() + between + length;
    Some(Some(EscapeClause { length: length_of_all, is_one_character: length == 3 }))
}

/// Behind a dollar sign: a dollar quote, the number of a parameter, or nothing.
fn dollar(rest: &[u8]) -> Option<(Token, usize)> {
    let parameter = count(rest, |b| b.is_ascii_digit());
    if parameter > 0 {
        return Some((Token::Shown, 1 + parameter));
    }
    let tag = count(rest, |b| is_word(b) && b != b'$');
    let (tag, after) = rest.split_at_checked(tag)?;
    let Some((b'$', body)) = after.split_first() else { return Some((Token::Shown, 1)) };
    let mut end = 0;
    loop {
        end += count(body.get(end..)?, |b| b != b'$') + 1;
        let closing = body.get(end..)?;
        if closing.strip_prefix(tag).is_some_and(|rest| rest.first() == Some(&b'$')) {
            return Some((Token::String, 1 + tag.len() + 1 + end + tag.len() + 1));
        }
    }
}

/// A number with whatever is written next to it, which some versions read as a name.
fn number(bytes: &[u8]) -> usize {
    let of_number = |b| is_word(b) || b == b'.';
    let length = count(bytes, of_number);
    let (spelled, after) = bytes.split_at(length);
    let has_exponent = matches!(spelled, [.., b'e' | b'E']) && !matches!(spelled, [b'0', b'x' | b'X', ..]);
    match after {
        [b'+' | b'-', b'0'..=b'9', ..] if has_exponent => {
            length + 1 + count(after.get(1..).unwrap_or_default(), of_number)
        }
        _ => length,
    }
}

/// A comment to the end of its line, without that.
fn line(bytes: &[u8]) -> usize {
    count(bytes, |b| b != b'\n' && b != b'\r')
}

/// A comment with those inside of it.
fn block_comment(bytes: &[u8]) -> Option<usize> {
    let mut end = 2;
    let mut open = 1_usize;
    while open > 0 {
        end += count(bytes.get(end..)?, |b| b != b'/' && b != b'*');
        match bytes.get(end..)? {
            [b'/', b'*', ..] => (open, end) = (open + 1, end + 2),
            [b'*', b'/', ..] => (open, end) = (open - 1, end + 2),
            [_, ..] => end += 1,
            [] => return None,
        }
    }
    Some(end)
}

/// Blanks and comments to the end of a line, between the parts of what the scanner or the parser joins.
fn blanks(bytes: &[u8]) -> usize {
    let mut length = 0;
    loop {
        let rest = bytes.get(length..).unwrap_or_default();
        length += match rest {
            [b'-', b'-', ..] => line(rest),
            [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, ..] => 1,
            _ => return length,
        };
    }
}

fn count(bytes: &[u8], test: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|b| test(**b)).count()
}
