//! stdout: results and nothing else, as tables for people or as JSON for programs.
//!
//! Everything that goes into a table, a line or a block is escaped here, JSON included; no command has to remember
//! it.

use std::{
    io::{self, Write},
    os::fd::AsFd,
};

use comfy_table::{Table, presets};
use serde::Serialize;
use tokio::{io::Interest, net::unix::pipe};

use crate::{
    escape::{escaped, escaped_json, escaped_lines},
    failure::Failure,
    wrap,
};

/// Before each line that somebody else wrote.
const BAR: &str = "    | ";
/// Before what is left of such a line where it is longer than a row.
const FURTHER: &str = "    : ";

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
    is_stdout: bool,
}

/// A list as JSON has it.
#[derive(Serialize)]
struct Items<'a, T> {
    items: &'a [T],
}

impl Output {
    /// The process's own stdout.
    pub fn stdout(format: Format) -> Self {
        Self { is_stdout: true, ..Self::new(format, Box::new(io::stdout())) }
    }

    /// Any other place.
    pub fn new(format: Format, out: Box<dyn Write + Send>) -> Self {
        Self { format, out, is_stdout: false }
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
        self.write(&escaped(text))
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
        self.write(&escaped_json(&text))
    }

    /// One value on one line.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn json_line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(|error| Failure::failed(error.to_string()))?;
        self.write(&escaped_json(&text))
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
        self.write(&rendered(heading, rows))
    }

    /// One thing's properties, a line each; those that are empty are left out. Long values go on under themselves.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn properties(&mut self, properties: &[(&str, String)]) -> Result<(), Failure> {
        let width = properties.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        properties
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .try_for_each(|(name, value)| self.hanging(&format!("{name:width$}  "), value))
    }

    /// A line that begins with a label of ours and goes on, where it is longer than a row, under where its text
    /// began.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn hanging(&mut self, label: &str, text: &str) -> Result<(), Failure> {
        self.rows(label, &" ".repeat(label.chars().count()), &escaped(text))
    }

    /// What somebody else wrote, line by line behind a bar, so that none of it can pass for a line of ours. What
    /// does not show is escaped.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn block(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        escaped_lines(bytes).iter().try_for_each(|line| self.rows(BAR, FURTHER, line))
    }

    /// Hands everything to whoever reads stdout.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| Failure::from_stdout(&error))
    }

    /// Waits until nobody reads the process's stdout any more. Never returns where that cannot be told, or where
    /// results go elsewhere: then the next write says so.
    pub fn abandoned(&self) -> impl Future<Output = ()> + use<> {
        let is_stdout = self.is_stdout;
        async move {
            if !(is_stdout && reader_gone(io::stdout()).await) {
                std::future::pending().await
            }
        }
    }

    /// An escaped line in rows; `first` and `further` are as wide as each other.
    fn rows(&mut self, first: &str, further: &str, line: &str) -> Result<(), Failure> {
        let mut lead = first;
        for row in wrap::rows(line, first.chars().count()) {
            self.write(&format!("{lead}{row}"))?;
            lead = further;
        }
        Ok(())
    }

    fn write(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.out, "{line}").map_err(|error| Failure::from_stdout(&error))
    }
}

/// An instant (a protobuf timestamp, which prints as RFC 3339 in UTC), or nothing.
pub(crate) fn instant(at: Option<&impl ToString>) -> String {
    at.map(ToString::to_string).unwrap_or_default()
}

/// Waits until nobody holds the other end of a pipe or socket; false at once for what is neither.
async fn reader_gone(writer: impl AsFd) -> bool {
    // Unchecked: it stays a blocking descriptor, and is only asked about, never written to.
    let watched = writer.as_fd().try_clone_to_owned().and_then(pipe::Sender::from_owned_fd_unchecked);
    match watched {
        Ok(watched) => watched.ready(Interest::ERROR).await.is_ok(),
        Err(_) => false,
    }
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
    fn a_block_cannot_pass_for_what_is_around_it() {
        let captured = Captured::default();
        let forged = format!("a\n\nstate  approved\r\x1b[1A{}end", " ".repeat(200));
        captured.output(Format::Table).block(forged.as_bytes()).expect("written");
        let text = captured.text();
        let lines: Vec<&str> = text.lines().collect();
        let begun = lines.get(..3).map(|lines| lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>());
        assert_eq!(begun, Some(vec!["    | a", "    |", "    | state  approved\\r\\u{1b}[1A"]));
        assert!(lines.iter().all(|line| line.starts_with(BAR) || line.starts_with(FURTHER)), "{text}");
        assert!(lines.iter().all(|line| line.len() < 80) && text.ends_with("end\n"), "{text}");
    }

    #[test]
    fn long_values_go_on_under_themselves() {
        let captured = Captured::default();
        let value = "x".repeat(100);
        captured.output(Format::Table).properties(&[("name", value)]).expect("written");
        assert_eq!(captured.text(), format!("name  {}\n      {}\n", "x".repeat(73), "x".repeat(27)));
    }

    #[test]
    fn json_is_fit_for_a_terminal_too() {
        let captured = Captured::default();
        captured.output(Format::Json).json_line(&"\u{202e}\u{9b}2J").expect("written");
        assert_eq!(captured.text(), "\"\\u202e\\u009b2J\"\n");
    }

    #[tokio::test]
    async fn it_is_told_when_nobody_reads_any_more() {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        assert!(reader_gone(writer).await);
        assert!(!reader_gone(tempfile::tempfile().expect("a file")).await);
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
