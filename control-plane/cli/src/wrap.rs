//! Long lines on a terminal. They are cut here: where the terminal cuts them itself, what stands at the beginning
//! of its next row could pass for a line of ours, and a caller who knows the usual width could see to that.

/// Columns of a row: one less than the terminals of old, which nobody makes narrower.
const COLUMNS: usize = 79;
/// Columns from one tab stop to the next.
const TAB: usize = 8;

/// The rows of an escaped line that begins at column `from` and goes on at the same column: at least one, and each
/// within the usual width. A row ends after a space where there is one. Together they are the line.
pub(crate) fn rows(line: &str, from: usize) -> Vec<&str> {
    let mut rows = Vec::new();
    let mut rest = line;
    while let Some((row, further)) = cut(rest, from) {
        rows.push(row);
        rest = further;
    }
    rows.push(rest);
    rows
}

/// The first row of what does not fit into one, and what is left.
fn cut(line: &str, from: usize) -> Option<(&str, &str)> {
    let (mut column, mut after_space) = (from, 0);
    for (at, c) in line.char_indices() {
        column += width(c, column);
        if column > COLUMNS && at > 0 {
            return line.split_at_checked(if after_space > 0 { after_space } else { at });
        }
        if c == ' ' {
            after_space = at + 1;
        }
    }
    None
}

/// Columns that a character takes at most. Beyond ASCII, which terminal takes how many is anybody's guess.
fn width(c: char, column: usize) -> usize {
    match c {
        '\t' => TAB - column % TAB,
        c if c.is_ascii() => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lines_are_one_row() {
        for line in ["", "SELECT 1", "\t", &"x".repeat(COLUMNS - 6)] {
            assert_eq!(rows(line, 6), [line]);
        }
    }

    #[test]
    fn no_row_is_wider_than_a_terminal_and_nothing_is_lost() {
        for piece in ["x", "数", "\t", "a\t", "a\u{301}", "1234567 "] {
            let line = piece.repeat(500);
            let rows = rows(&line, 6);
            assert_eq!(rows.concat(), line);
            for row in rows {
                let columns = row.chars().fold(6, |column, c| column + width(c, column));
                assert!(!row.is_empty() && columns <= COLUMNS, "{row:?}");
            }
        }
    }

    #[test]
    fn a_row_has_something_however_late_it_begins() {
        assert_eq!(rows("数a", COLUMNS), ["数", "a"]);
    }
}
