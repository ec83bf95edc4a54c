use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{InvalidFrame, Part, SegmentError, SegmentReader, check_opened_segment, fixture};

fn header(recording: RecordingId, number: u32) -> v1::SegmentHeader {
    let recording_id = recording.to_string();
    v1::SegmentHeader { recording_id, number, boot_id: vec![7; 16], ..Default::default() }
}

fn drawn() -> (v1::SegmentHeader, ContentKey) {
    let mut header = header(RecordingId::generate(), 3);
    let key = ContentKey::draw(&mut header, &fixture::recording_key()).unwrap();
    (header, key)
}

#[test]
fn a_content_key_opens_for_its_recipient_and_its_header_alone() {
    let (header, key) = drawn();
    let opening = fixture::opening_key();
    assert_eq!(header.content_key.len(), SEALED_KEY);
    assert_eq!(opening.open_content_key(&header).unwrap().as_bytes(), key.as_bytes());
    let other = OpeningKey::from_secret(&[9; 32]).unwrap();
    assert_eq!(other.open_content_key(&header).err(), Some(SealError::Recipient));
    // Named as if it were sealed to the other.
    let mut renamed = header.clone();
    renamed.content_key.splice(..ID, other.recording_key().id());
    assert_eq!(other.open_content_key(&renamed).err(), Some(SealError::Open));
    let changed = |change: fn(&mut v1::SegmentHeader)| {
        let mut header = header.clone();
        change(&mut header);
        opening.open_content_key(&header).err()
    };
    assert_eq!(changed(|header| header.number += 1), Some(SealError::Open));
    assert_eq!(changed(|header| header.boot_id[0] ^= 1), Some(SealError::Open));
    let elsewhere =
        |header: &mut v1::SegmentHeader| header.recording_id = RecordingId::generate().to_string();
    assert_eq!(changed(elsewhere), Some(SealError::Open));
    assert_eq!(changed(|header| header.content_key.clear()), Some(SealError::Open));
    assert_eq!(changed(|header| header.content_key.push(0)), Some(SealError::Open));
}

#[test]
fn every_changed_or_missing_byte_of_a_sealed_key_is_noticed() {
    let (header, _) = drawn();
    for at in 0..header.content_key.len() {
        let mut changed = header.clone();
        changed.content_key[at] ^= 1 << (at % 8);
        assert!(fixture::opening_key().open_content_key(&changed).is_err(), "changed at {at}");
        changed.content_key = header.content_key[..at].to_vec();
        assert!(fixture::opening_key().open_content_key(&changed).is_err(), "cut at {at}");
    }
}

#[test]
fn a_hash_key_opens_for_its_recording_and_is_no_content_key() {
    let (opening, recording) = (fixture::opening_key(), RecordingId::generate());
    let sealed = seal_hash_key(&opening.recording_key(), recording, &[4; 32]).unwrap();
    assert_eq!(*opening.open_hash_key(recording, &sealed).unwrap(), [4; 32]);
    assert!(opening.open_hash_key(RecordingId::generate(), &sealed).is_err());
    let as_content_key = v1::SegmentHeader { content_key: sealed, ..header(recording, 0) };
    assert!(opening.open_content_key(&as_content_key).is_err());
    let (content, _) = drawn();
    let id = content.recording_id.parse().unwrap();
    assert!(opening.open_hash_key(id, &content.content_key).is_err());
}

#[test]
fn a_body_opens_in_its_own_place_alone() {
    let (header, key) = drawn();
    let sealed = key.seal(b"header", b"body".to_vec()).unwrap();
    assert_eq!(sealed.len(), b"body".len() + OVERHEAD);
    assert_eq!(key.open(b"header", &sealed).unwrap(), b"body");
    assert!(key.open(b"other header", &sealed).is_err());
    let of = |header: &v1::SegmentHeader| ContentKey::of(header, key.as_bytes()).unwrap();
    assert!(of(&header).open(b"header", &sealed).is_ok());
    let next = v1::SegmentHeader { number: 4, ..header.clone() };
    assert!(of(&next).open(b"header", &sealed).is_err(), "another segment");
    let other = v1::SegmentHeader { recording_id: RecordingId::generate().to_string(), ..header };
    assert!(of(&other).open(b"header", &sealed).is_err(), "another recording");
    assert_ne!(key.seal(b"header", b"body".to_vec()).unwrap(), sealed, "nonces are random");
}

#[test]
fn each_segment_has_a_key_of_its_own() {
    let segments = fixture::recording(2, 6);
    let [first, second] = [0, 1].map(|at: usize| fixture::content_key(&segments[at]));
    assert_ne!(first.as_bytes(), second.as_bytes());
    // A frame of one segment under the key of the other.
    let mut reader = SegmentReader::new(&segments[0]);
    while let Some(part) = reader.next_part().unwrap() {
        if let Part::Frame(frame) = part {
            assert!(frame.decode(&first).is_ok());
            assert_eq!(frame.decode(&second), Err(InvalidFrame::Seal));
        }
    }
}

#[test]
fn nothing_of_what_was_asked_stands_in_a_segment() {
    for segment in fixture::recording(3, 6) {
        for told in [&b"customers"[..], b"postgres:select", b"not_permitted", b"shop", b"[email]"] {
            assert!(!segment.windows(told.len()).any(|window| window == told), "{told:?}");
        }
    }
}

#[test]
fn a_segment_of_another_key_is_refused_by_that_name() {
    let segment = fixture::recording(1, 4).remove(0);
    let other = OpeningKey::from_secret(&[9; 32]).unwrap();
    let refused = check_opened_segment(&segment, &other);
    assert_eq!(refused, Err(SegmentError::Seal(SealError::Recipient)));
}

#[test]
fn debug_shows_no_key() {
    let secret = [0xab; 32];
    let opening = OpeningKey::from_secret(&secret).unwrap();
    let content = ContentKey::of(&v1::SegmentHeader::default(), &secret).unwrap();
    let shown = format!("{opening:?} {content:?}");
    assert!(!shown.contains("171") && !shown.contains("ab, ab"), "{shown}");
    assert!(shown.ends_with("ContentKey(redacted)"), "{shown}");
}

/// RFC 7748, section 6.1: Bob's key.
#[test]
fn the_public_half_is_that_of_x25519() {
    let bytes = |hex: &str| -> [u8; 32] {
        let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        let bytes: Vec<u8> = digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
        bytes.try_into().unwrap()
    };
    let secret = bytes("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    let public = bytes("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    assert_eq!(*OpeningKey::from_secret(&secret).unwrap().recording_key().as_bytes(), public);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(sealed in vec(any::<u8>(), 0..200), aad in vec(any::<u8>(), 0..20)) {
        let (opening, key) = (fixture::opening_key(), fixture::any_content_key());
        prop_assert!(key.open(&aad, &sealed).is_err());
        prop_assert!(opening.open_hash_key(RecordingId::generate(), &sealed).is_err());
        let mut named = opening.recording_key().id().to_vec();
        named.extend_from_slice(&sealed);
        named.truncate(SEALED_KEY);
        let header = v1::SegmentHeader { content_key: named, ..v1::SegmentHeader::default() };
        prop_assert!(opening.open_content_key(&header).is_err());
    }

    #[test]
    fn bodies_come_back(body in vec(any::<u8>(), 0..200), header in vec(any::<u8>(), 0..40), at: usize) {
        let (_, key) = drawn();
        let mut sealed = key.seal(&header, body.clone()).unwrap();
        prop_assert_eq!(key.open(&header, &sealed).unwrap(), body);
        let at = at % sealed.len();
        sealed[at] ^= 1;
        prop_assert!(key.open(&header, &sealed).is_err());
    }
}
