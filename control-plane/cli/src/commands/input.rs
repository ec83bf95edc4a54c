//! Documents from a file or from stdin.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use countersign_wire::v1::Resource;

use crate::{failure::Failure, resource::parse_documents};

/// The longest file of documents that is read, in bytes.
const LONGEST: u64 = 16 << 20;

/// The file that a command reads.
#[derive(Debug, clap::Args)]
pub(crate) struct InputArgs {
    /// YAML documents {kind, name, spec}; `-` is stdin.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: PathBuf,
}

impl InputArgs {
    /// The file's resources, in the order in which they depend on each other.
    pub(crate) fn resources(&self) -> Result<Vec<Resource>, Failure> {
        let text = if self.file == Path::new("-") {
            bounded(io::stdin().lock())
        } else {
            File::open(&self.file).and_then(bounded)
        };
        parse_documents(&text.map_err(|error| Failure::from_file("read", &self.file, &error))?)
    }
}

fn bounded(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 16 MiB"));
    }
    Ok(text)
}
