use super::*;
use bytes::Bytes;
use proptest::prelude::*;

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    crate::codec::encode::framed(&mut out, kind, |out| out.extend_from_slice(body));
    out.to_vec()
}

fn select_of(rows: usize, width: usize) -> Vec<u8> {
    let mut description = b"\0\x01id\0".to_vec();
    description.extend([0; 18]);
    let mut stream = message(b'T', &description);
    for _ in 0..rows {
        let mut row = b"\0\x01".to_vec();
        row.extend((width as u32).to_be_bytes());
        row.extend(vec![b'x'; width]);
        stream.extend(message(b'D', &row));
    }
    stream.extend(message(b'C', format!("SELECT {rows}\0").as_bytes()));
    stream.extend(message(b'Z', b"I"));
    stream
}

/// Feeds `pieces` and returns the batches (as bytes), rows counted, and the end.
fn run(reply: &mut Reply, pieces: &[&[u8]]) -> Result<(Vec<Bytes>, Option<End>), Broken> {
    let (mut buffer, mut batches) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while let Some(taken) = reply.take(&mut buffer, &Pins::default())? {
            batches.push(taken.bytes);
            if taken.end.is_some() {
                return Ok((batches, taken.end));
            }
        }
    }
    Ok((batches, None))
}

#[test]
fn a_reply_is_the_same_at_every_split() {
    let stream = select_of(3, 10);
    for cut in 0..stream.len() {
        let (left, right) = stream.split_at(cut);
        let mut reply = Reply::to_query(1 << 20);
        let (batches, end) = run(&mut reply, &[left, right]).unwrap();
        assert_eq!(batches.concat(), stream, "at {cut}");
        assert_eq!(end, Some(End::Ready(Status::Idle)));
        assert_eq!(reply.completion.tags, ["SELECT 3"]);
        assert_eq!(reply.completion.columns, ["id"]);
        assert_eq!(reply.completion.error_code, None);
    }
}

#[test]
fn batches_are_bounded_and_larger_messages_stand_alone() {
    let stream = select_of(2000, 100);
    let (batches, _) = run(&mut Reply::to_query(1 << 20), &[&stream]).unwrap();
    assert!(batches.len() > 3 && batches.iter().all(|batch| batch.len() <= BATCH));
    let stream = select_of(2, 100_000);
    let (batches, _) = run(&mut Reply::to_query(1 << 20), &[&stream]).unwrap();
    assert_eq!(batches.len(), 4);
    let mut reply = Reply::to_query(50_000);
    assert_eq!(run(&mut reply, &[&stream]).unwrap_err(), Broken::TooLarge);
}

#[test]
fn an_error_ends_with_its_code_and_fatal_ends_the_line() {
    let mut stream = message(b'E', b"SERROR\0VERROR\0C42P01\0Mx\0\0");
    stream.extend(message(b'Z', b"E"));
    let mut reply = Reply::to_query(1 << 20);
    assert_eq!(run(&mut reply, &[&stream]).unwrap().1, Some(End::Ready(Status::Failed)));
    assert_eq!(reply.completion.error_code.as_deref(), Some("42P01"));
    let stream = message(b'E', b"SFATAL\0VFATAL\0C57P01\0Mx\0\0");
    assert_eq!(run(&mut Reply::to_query(1 << 20), &[&stream]).unwrap_err(), Broken::Fatal);
}

#[test]
fn flows_that_were_not_asked_for_are_not_relayed() {
    for kind in *b"GHWdcRKv1VX\0" {
        let stream = message(kind, b"");
        assert_eq!(
            run(&mut Reply::to_query(1 << 20), &[&stream]).unwrap_err(),
            Broken::Unsupported,
            "{kind}"
        );
    }
}

#[test]
fn a_changed_pin_is_not_relayed() {
    let pins = Pins::of([("client_encoding", "UTF8")].into_iter());
    let mut buffer = BytesMut::from(&message(b'S', b"client_encoding\0LATIN1\0")[..]);
    assert_eq!(Reply::to_query(1 << 20).take(&mut buffer, &pins).unwrap_err(), Broken::Unpinned);
    let mut buffer = BytesMut::from(&message(b'S', b"TimeZone\0UTC\0")[..]);
    assert!(Reply::to_query(1 << 20).take(&mut buffer, &pins).unwrap().is_some());
}

/// What an execution is answered with, from the completion of its Bind on.
fn execution(rows: usize, last: &[u8]) -> Vec<u8> {
    let mut stream = message(b'3', b"");
    stream.extend(message(b'2', b""));
    for _ in 0..rows {
        stream.extend(message(b'D', b"\0\x01\0\0\0\x01x"));
    }
    stream.extend(last);
    stream
}

#[test]
fn an_execution_is_relayed_without_what_the_client_did_not_ask_for() {
    let complete = message(b'C', b"SELECT 2\0");
    let ready = message(b'Z', b"I");
    let rows = execution(2, b"")[message(b'3', b"").len() * 2..].to_vec();
    let whole = [rows.clone(), complete.clone(), ready.clone()].concat();
    for (tail, hides, last, expected) in [
        (Tail::Sync, false, &ready[..], whole.clone()),
        (Tail::Sync, true, &ready[..], whole[..whole.len() - ready.len()].to_vec()),
        (Tail::Flush, true, &[][..], whole[..whole.len() - ready.len()].to_vec()),
    ] {
        let stream = [execution(2, &complete), last.to_vec()].concat();
        for cut in 0..stream.len() {
            let mut reply = Reply::to_execute(1 << 20, tail, vec!["x".into()]).hiding_ready(hides);
            let (left, right) = stream.split_at(cut);
            let (batches, end) = run(&mut reply, &[left, right]).unwrap();
            assert_eq!(batches.concat(), expected, "{tail:?} {hides} at {cut}");
            let ended = if tail == Tail::Sync { End::Ready(Status::Idle) } else { End::Open };
            assert_eq!(end, Some(ended));
            assert_eq!((&reply.completion.tags[..], reply.suspended), (&["SELECT 2".to_owned()][..], false));
        }
    }
}

#[test]
fn an_error_ends_what_was_flushed_and_a_portal_says_that_it_has_more() {
    let error = message(b'E', b"SERROR\0VERROR\0C22012\0Mx\0\0");
    let mut reply = Reply::to_execute(1 << 20, Tail::Flush, Vec::new()).hiding_ready(true);
    assert_eq!(run(&mut reply, &[&execution(1, &error)]).unwrap().1, Some(End::Open));
    assert_eq!(reply.completion.error_code.as_deref(), Some("22012"));
    // At its Sync an operation may still fail: a constraint that was deferred.
    let late = [message(b'C', b"INSERT 0 1\0"), error.clone(), message(b'Z', b"I")].concat();
    let mut reply = Reply::to_execute(1 << 20, Tail::Sync, Vec::new());
    assert_eq!(run(&mut reply, &[&execution(0, &late)]).unwrap().1, Some(End::Ready(Status::Idle)));
    assert_eq!(reply.completion.error_code.as_deref(), Some("22012"));
    let mut reply = Reply::to_execute(1 << 20, Tail::Flush, Vec::new());
    assert_eq!(run(&mut reply, &[&execution(1, &message(b's', b""))]).unwrap().1, Some(End::Open));
    assert!(reply.suspended);
}

#[test]
fn nothing_but_its_sync_comes_behind_the_end_of_an_execution() {
    let ends = [message(b'C', b"SELECT 2\0"), message(b'I', b""), message(b's', b"")];
    let error = message(b'E', b"SERROR\0VERROR\0C22012\0Mx\0\0");
    for end in ends.iter().chain([&error]) {
        for kind in *b"DCIs2" {
            let stream = execution(1, &[&end[..], &message(kind, b"\0\0")].concat());
            let mut reply = Reply::to_execute(1 << 20, Tail::Sync, Vec::new());
            assert_eq!(run(&mut reply, &[&stream]).unwrap_err(), Broken::Unsupported, "{}", char::from(kind));
        }
    }
    let prepared = [message(b'1', b""), message(b't', b"\0\0"), message(b'n', b"")].concat();
    for kind in *b"1tnT" {
        let stream = [&prepared[..], &message(kind, b"\0\0")].concat();
        let mut reply = Reply::to_prepare(1 << 20, Tail::Sync);
        assert_eq!(run(&mut reply, &[&stream]).unwrap_err(), Broken::Unsupported, "{}", char::from(kind));
    }
}

#[test]
fn what_another_message_would_be_answered_with_is_not_relayed() {
    let unasked = |mut reply: Reply, kinds: &[u8]| {
        for kind in kinds {
            let found = run(&mut reply, &[&message(*kind, b"\0\0")]);
            assert_eq!(found.unwrap_err(), Broken::Unsupported, "{}", char::from(*kind));
        }
    };
    unasked(Reply::to_query(1 << 20), b"12nts");
    unasked(Reply::to_execute(1 << 20, Tail::Sync, Vec::new()), b"1tTnGHW");
    unasked(Reply::to_prepare(1 << 20, Tail::Sync), b"2DCIsGHW");
    unasked(Reply::to_sync(1 << 20), b"12DCITtnsGHW");
    unasked(Reply::to_nothing(), b"12DCITtnsZ3GHW");
}

proptest! {
    #[test]
    fn any_bytes_are_answered(kind in any::<u8>(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = run(&mut Reply::to_query(256), &[&bytes]);
        let _ = run(&mut Reply::to_query(1024), &[&message(kind, &bytes)]);
        let _ = run(&mut Reply::to_catalog(1024), &[&message(kind, &bytes)]);
        let _ = run(&mut Reply::to_prepare(1024, Tail::Flush), &[&message(kind, &bytes)]);
        let _ = run(&mut Reply::to_execute(1024, Tail::Flush, Vec::new()), &[&message(kind, &bytes)]);
        let _ = errors_and_notices(&message(kind, &bytes));
    }
}
