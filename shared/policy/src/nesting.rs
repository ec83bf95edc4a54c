//! A bound on how deep a policy can nest, taken from its text before anything parses it.
//!
//! The passes behind a parser recurse, and a deep enough tree would end the process rather than the request. Every
//! level of a tree costs at least one bracket or operator, so their number per policy bounds its depth.

/// Brackets and operators that one policy may have. Elements of a list cost nothing: their number is free.
pub const MAX_OPERATORS: usize = 500;
/// Brackets that may be open at once. A level of brackets costs the parser about five times what an operator does.
pub const MAX_DEPTH: usize = 32;

/// Whether every policy of the text stays within [`MAX_OPERATORS`] and [`MAX_DEPTH`].
pub(crate) fn is_bounded(text: &str) -> bool {
    let mut rest = text.chars().peekable();
    let mut count = 0_usize;
    let mut depth = 0_usize;
    while let Some(c) = rest.next() {
        match c {
            ';' => (count, depth) = (0, 0),
            '"' => skip_string(&mut rest),
            '/' if rest.peek() == Some(&'/') => while rest.next_if(|c| *c != '\n' && *c != '\r').is_some() {},
            '(' | '[' | '{' => (count, depth) = (count + 1, depth + 1),
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '.' | '!' | '=' | '<' | '>' | '&' | '|' | '+' | '-' | '*' => count += 1,
            c if c.is_ascii_alphabetic() || c == '_' => count += usize::from(is_operator(c, &mut rest)),
            _ => {}
        }
        if count > MAX_OPERATORS || depth > MAX_DEPTH {
            return false;
        }
    }
    true
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Behind the opening quote: consumes up to and with the closing one.
fn skip_string(rest: &mut Rest<'_>) {
    while let Some(c) = rest.next() {
        match c {
            '"' => return,
            '\\' => drop(rest.next()),
            _ => {}
        }
    }
}

/// Consumes a word; whether it is one that takes operands.
fn is_operator(first: char, rest: &mut Rest<'_>) -> bool {
    let mut word = String::from(first);
    while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
        // Longer words are no operators, and need not be kept.
        if word.len() < 8 {
            word.push(c);
        }
    }
    matches!(word.as_str(), "if" | "in" | "is" | "has" | "like")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_count_per_policy_and_only_outside_strings_and_comments() {
        let nested = |n: usize| format!("permit {}{};", "(".repeat(n), ")".repeat(n));
        assert!(is_bounded(&nested(MAX_DEPTH).repeat(MAX_OPERATORS)));
        assert!(!is_bounded(&nested(MAX_DEPTH + 1)));
        assert!(is_bounded(&"()".repeat(MAX_OPERATORS)));
        assert!(!is_bounded(&"()".repeat(MAX_OPERATORS + 1)));
        assert!(!is_bounded(&"if a then b else ".repeat(MAX_OPERATORS + 1)));
        assert!(is_bounded(&format!("\"{}\\\"((\" // {}\n", "(".repeat(5_000), "!".repeat(5_000))));
        assert!(!is_bounded(&format!("\"\\\\\" {}", "(".repeat(MAX_DEPTH + 1))), "the escape ends there");
        assert!(is_bounded(&"Agent::\"a\", ".repeat(5_000)), "a long list is not deep");
    }
}
