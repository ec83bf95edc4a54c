//! stdout: results and nothing else, as tables for people or as JSON for programs.
//!
//! Everything that goes into a table or a line is escaped here; no command has to remember it.

use std::io::{self, Write};

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::{escape::escaped, failure::Failure};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people: tables, YAML and lines.
    #[default]
    Table,
    /// For programs: proto-JSON; lists as `{"items":[…]}`.
    Json,
}

/// Where results go, and in what form.
pub struct Output {
    format: Format,
    out: Box<dyn Write + Send>,
}

/// A list as JSON has it.
#[derive(Serialize)]
struct Items<'a, T> {
    items: &'a [T],
}

impl Output {
    /// The process's own stdout.
    pub fn stdout(format: Format) -> Self {
        Self::new(format, Box::new(io::stdout()))
    }

    /// Any other place.
    pub fn new(format: Format, out: Box<dyn Write + Send>) -> Self {
        Self { format, out }
    }

    /// The form that was asked for.
    pub fn format(&self) -> Format {
        self.format
    }

    /// One line; foreign characters in it are escaped.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.out, "{}", escaped(text)).map_err(|error| Failure::from_stdout(&error))
    }

    /// Lines as they stand in `text`, each escaped.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn lines(&mut self, text: &str) -> Result<(), Failure> {
        text.lines().try_for_each(|line| self.line(line))
    }

    /// One value, indented.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(|error| Failure::failed(error.to_string()))?;
        writeln!(self.out, "{text}").map_err(|error| Failure::from_stdout(&error))
    }

    /// One value on one line.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn json_line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(|error| Failure::failed(error.to_string()))?;
        writeln!(self.out, "{text}").map_err(|error| Failure::from_stdout(&error))
    }

    /// `{"items":[…]}`.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn json_items(&mut self, items: &[impl Serialize]) -> Result<(), Failure> {
        self.json(&Items { items })
    }

    /// A table without lines, its headings in capitals; an empty cell shows as `-`.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn table<const N: usize>(&mut self, heading: [&str; N], rows: &[[String; N]]) -> Result<(), Failure> {
        let text = rendered(heading, rows);
        writeln!(self.out, "{text}").map_err(|error| Failure::from_stdout(&error))
    }

    /// One thing's properties, a line each; those that are empty are left out.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn properties(&mut self, properties: &[(&str, String)]) -> Result<(), Failure> {
        let width = properties.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        properties
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .try_for_each(|(name, value)| self.line(&format!("{name:width$}  {value}")))
    }
}

/// An instant (a protobuf timestamp, which prints as RFC 3339 in UTC), or nothing.
pub(crate) fn instant(at: Option<&impl ToString>) -> String {
    at.map(ToString::to_string).unwrap_or_default()
}

fn rendered<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(heading);
    for row in rows {
        table.add_row(row.iter().map(|cell| if cell.is_empty() { "-".to_owned() } else { escaped(cell) }));
    }
    // The table pads both sides of a cell; the first column's padding would indent every line by one.
    let unpadded = |line: String| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned();
    table.lines().map(unpadded).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    /// An output that can be read afterwards.
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(crate) fn output(&self, format: Format) -> Output {
            Output::new(format, Box::new(self.clone()))
        }

        pub(crate) fn text(&self) -> String {
            let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            String::from_utf8(bytes).expect("UTF-8")
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_table_is_aligned_and_escaped() {
        let rows = [
            ["shop".into(), "dev".into()],
            ["a-longer-name".into(), "\u{1b}[2J".into()],
            ["x".into(), String::new()],
        ];
        let captured = Captured::default();
        captured.output(Format::Table).table(["NAME", "ZONE"], &rows).expect("written");
        assert_eq!(
            captured.text(),
            "NAME           ZONE\nshop           dev\na-longer-name  \\u{1b}[2J\nx              -\n"
        );
    }

    #[test]
    fn an_empty_table_is_its_heading() {
        let captured = Captured::default();
        captured.output(Format::Table).table::<2>(["NAME", "ZONE"], &[]).expect("written");
        assert_eq!(captured.text(), "NAME  ZONE\n");
    }

    #[test]
    fn lists_are_items() {
        let captured = Captured::default();
        captured.output(Format::Json).json_items(&["a"]).expect("written");
        let value: serde_json::Value = serde_json::from_str(&captured.text()).expect("JSON");
        assert_eq!(value, serde_json::json!({"items": ["a"]}));
    }

    #[test]
    fn properties_leave_out_what_is_empty() {
        let captured = Captured::default();
        let properties =
            [("id", "se_1".to_owned()), ("closed at", String::new()), ("zone", "dev".to_owned())];
        captured.output(Format::Table).properties(&properties).expect("written");
        assert_eq!(captured.text(), "id         se_1\nzone       dev\n");
    }
}
