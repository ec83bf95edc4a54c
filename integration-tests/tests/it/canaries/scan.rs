//! Looks for texts in bytes, however they were written down: as they are, in part, encoded, compressed.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Bytes of a text that tell it from every other.
const TELLING: usize = 24;
/// Most that something compressed is unpacked to, in bytes.
const UNPACKED: u64 = 64 * 1024 * 1024;
/// Bytes by which needles are looked up.
const KEY: usize = 4;

/// Texts, and every way of writing them.
#[derive(Default)]
pub(super) struct Scanner {
    needles: Vec<Needle>,
    by_key: HashMap<[u8; KEY], Vec<usize>>,
    /// A bit for each pair of bytes that a needle begins with.
    first: Vec<bool>,
}

struct Needle {
    of: String,
    way: &'static str,
    bytes: Vec<u8>,
}

/// A text that is where it should not be.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) sink: String,
    pub(super) of: String,
    pub(super) way: &'static str,
}

impl Scanner {
    /// Looks for this as well: a JWT, or a text of its own kind.
    pub(super) fn add(&mut self, of: &str, text: &str) {
        for part in parts(text) {
            for (way, bytes) in ways(&part) {
                self.add_needle(of, way, bytes);
            }
        }
        if let Some(signature) = text.rsplit_once('.').and_then(|(_, signature)| unbase64url(signature)) {
            let telling = signature.get(..TELLING).expect("a signature").to_vec();
            self.add_needle(of, "hex of the bytes", hex(&telling).into_bytes());
            self.add_needle(of, "bytes", telling);
        }
    }

    fn add_needle(&mut self, of: &str, way: &'static str, bytes: Vec<u8>) {
        let key = bytes.first_chunk::<KEY>().copied().expect("longer than a key");
        let needles = self.by_key.entry(key).or_default();
        if needles.iter().any(|needle| self.needles[*needle].bytes == bytes) {
            return;
        }
        needles.push(self.needles.len());
        self.first.resize(1 << 16, false);
        self.first[pair(key[0], key[1])] = true;
        self.needles.push(Needle { of: of.to_owned(), way, bytes });
    }

    /// What is found in a sink, and in whatever in it is compressed.
    pub(super) fn scan(&self, sink: &str, bytes: &[u8]) -> BTreeSet<Found> {
        let mut found = self.scan_flat(sink, bytes);
        for packed in unpacked(bytes) {
            found.extend(self.scan_flat(&format!("{sink} (unpacked)"), &packed));
        }
        found
    }

    /// The same for every file below a folder that is not on the list; also how many bytes there were.
    pub(super) fn scan_folder(&self, folder: &Path, allowed: &[PathBuf]) -> (BTreeSet<Found>, usize) {
        let (mut found, mut size, mut folders) = (BTreeSet::new(), 0, vec![folder.to_owned()]);
        while let Some(folder) = folders.pop() {
            let entries =
                fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            for entry in entries {
                let entry = entry.expect("an entry");
                let (path, kind) = (entry.path(), entry.file_type().expect("a type"));
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() && !allowed.contains(&path) {
                    // One that goes away meanwhile is no sink.
                    let Ok(bytes) = fs::read(&path) else { continue };
                    size += bytes.len();
                    found.extend(self.scan(&path.to_string_lossy(), &bytes));
                }
            }
        }
        (found, size)
    }

    fn scan_flat(&self, sink: &str, bytes: &[u8]) -> BTreeSet<Found> {
        let mut found = BTreeSet::new();
        for (at, key) in bytes.windows(KEY).enumerate() {
            if !self.first[pair(key[0], key[1])] {
                continue;
            }
            let Some(needles) = self.by_key.get(key) else { continue };
            for needle in needles.iter().map(|needle| &self.needles[*needle]) {
                if bytes[at..].starts_with(&needle.bytes) {
                    let (of, way) = (needle.of.clone(), needle.way);
                    found.insert(Found { sink: sink.to_owned(), of, way });
                }
            }
        }
        found
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// What of a text tells it from every other: both ends of a secret, and of a JWT those of its signature,
/// without which it is nobody's, and the end of its claims.
fn parts(text: &str) -> Vec<Vec<u8>> {
    let ends = |part: &str| {
        let part = part.as_bytes();
        let telling = TELLING.min(part.len());
        [part[..telling].to_vec(), part[part.len() - telling..].to_vec()]
    };
    match text.split('.').collect::<Vec<_>>().as_slice() {
        [_, claims, signature] => {
            let [_, end_of_claims] = ends(claims);
            let [first, last] = ends(signature);
            vec![end_of_claims, first, last]
        }
        _ => ends(text).into(),
    }
}

/// Every way in which a part may be written down within something longer.
fn ways(part: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let percent = |upper: bool| -> Vec<u8> {
        let one = |byte: &u8| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") };
        part.iter().map(one).collect::<String>().into_bytes()
    };
    let numbers: Vec<String> = part.iter().map(ToString::to_string).collect();
    let mut ways = vec![
        ("as it is", part.to_vec()),
        ("hex", hex(part).into_bytes()),
        ("hex", hex(part).to_uppercase().into_bytes()),
        ("percent", percent(false)),
        ("percent", percent(true)),
        ("numbers", numbers.join(", ").into_bytes()),
        ("numbers", numbers.join(",").into_bytes()),
        ("two bytes a letter", part.iter().flat_map(|byte| [*byte, 0]).collect()),
    ];
    for before in 0..3 {
        ways.push(("base64", within_base64(part, before, STANDARD)));
        ways.push(("base64url", within_base64(part, before, URL)));
    }
    ways
}

/// The letters of base64 that `part` alone decides when it stands `before` bytes behind a multiple of three.
fn within_base64(part: &[u8], before: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let bytes: Vec<u8> = std::iter::repeat_n(0, before).chain(part.iter().copied()).collect();
    let bit = |at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    let letter = |at: usize| alphabet[usize::from((0..6).fold(0, |six, n| six << 1 | bit(at * 6 + n)))];
    let (first, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    (first..end).map(letter).collect()
}

fn unbase64url(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bytes, mut bits, mut kept) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let six = ALPHABET.iter().position(|known| *known == letter)?;
        bits = bits << 6 | u32::try_from(six).ok()?;
        kept += 6;
        if kept >= 8 {
            kept -= 8;
            bytes.push(u8::try_from(bits >> kept & 0xff).ok()?);
        }
    }
    Some(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whatever zstd or gzip there is in it, unpacked.
fn unpacked(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut unpacked = Vec::new();
    for at in 0..bytes.len() {
        let rest = &bytes[at..];
        if rest.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            let Ok(decoder) = zstd::stream::read::Decoder::new(rest) else { continue };
            let mut inside = Vec::new();
            // What comes before a fault counts.
            let _ = decoder.single_frame().take(UNPACKED).read_to_end(&mut inside);
            unpacked.push(inside);
        } else if rest.starts_with(&[0x1f, 0x8b, 8]) {
            unpacked.push(gunzip(rest));
        }
    }
    unpacked
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = Command::new("gzip")
        .args(["--decompress", "--stdout", "--quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("gzip runs");
    let (mut stdin, bytes) = (gzip.stdin.take().expect("piped"), bytes.to_owned());
    // It stops reading where the compressed part ends.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let mut inside = Vec::new();
    let mut stdout = gzip.stdout.take().expect("piped").take(UNPACKED);
    let _ = stdout.read_to_end(&mut inside);
    drop(stdout);
    let _ = gzip.wait();
    let _ = writer.join();
    inside
}
