//! Packs: whatever is interrupted, everything reaches the archive, and nothing is deleted before.

use std::collections::BTreeMap;

use countersign_recording::{Pack, PackPlan};

use super::*;

/// What the control plane has: packs by their keys, and the segments that it listed.
#[derive(Default, Clone)]
struct Archive {
    packs: BTreeMap<String, Vec<u8>>,
    segments: BTreeMap<(RecordingId, u32), Vec<u8>>,
}

impl Archive {
    /// Takes a pack in as the control plane does; what is listed stays where it was first.
    fn take(&mut self, pack: &SpooledPack) {
        let checked = Pack::check(&pack.bytes).unwrap();
        assert_eq!(checked.name(), pack.plan.name());
        let before = self.packs.insert(checked.name().key(), pack.bytes.clone());
        assert!(before.is_none_or(|before| before == pack.bytes), "other bytes under the same name");
        for place in checked.places() {
            let bytes = pack.bytes[place.range().unwrap()].to_vec();
            let listed = self.segments.entry((place.segment.recording, place.segment.number));
            assert_eq!(*listed.or_insert_with(|| bytes.clone()), bytes);
        }
    }
}

/// A recording of two segments.
async fn record(spool: &Spool) -> RecordingId {
    let recording = RecordingId::generate();
    let mut session = spool.begin(recording).unwrap();
    session.append(&open(recording), Durability::PageCache).await.unwrap();
    session.rotate().unwrap();
    session.close("client").await.unwrap();
    recording
}

fn delete(spool: &Spool, plan: &PackPlan) {
    for segment in plan.segments() {
        match spool.acknowledge(segment.recording, segment.number, &segment.sha256) {
            Ok(()) | Err(AcknowledgeError::Unknown(..)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn plans(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir.join("packs")).unwrap();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

/// Another process goes on where one died, until nothing is left to do.
fn go_on(dir: &Path, archive: &mut Archive) -> usize {
    let mut opened = open_spool(dir, 2);
    let waiting = announced(&mut opened.finished);
    let planned = opened.planned.len();
    for plan in opened.planned {
        let pack = opened.spool.assemble(plan).unwrap();
        archive.take(&pack);
        delete(&opened.spool, &pack.plan);
        assert_eq!(opened.spool.drop_plan(&pack.plan), []);
    }
    if let Some(pack) = opened.spool.pack(waiting).pack {
        archive.take(&pack);
        delete(&opened.spool, &pack.plan);
        assert_eq!(opened.spool.drop_plan(&pack.plan), []);
    }
    assert_eq!((opened.spool.used(), plans(dir)), (0, vec![]));
    planned
}

#[tokio::test]
async fn a_pack_is_fixed_on_the_disk_before_it_is_sent() {
    let dir = TempDir::new().unwrap();
    let mut opened = open_spool(dir.path(), 1);
    let recordings = [record(&opened.spool).await, record(&opened.spool).await];
    let Packed { pack, rest, unreadable } = opened.spool.pack(announced(&mut opened.finished));
    let pack = pack.unwrap();
    assert!(rest.is_empty() && unreadable.is_empty());
    let file = format!("{}-0.plan", "01".repeat(16));
    assert_eq!(plans(dir.path()), std::slice::from_ref(&file));
    assert_eq!(mode(&dir.path().join("packs")), 0o700);
    assert_eq!(mode(&dir.path().join("packs").join(file)), 0o600);
    assert_eq!(pack.sha256, <[u8; 32]>::from(Sha256::digest(&pack.bytes)));
    let again = opened.spool.assemble(pack.plan.clone()).unwrap();
    assert_eq!((again.bytes, again.sha256), (pack.bytes.clone(), pack.sha256));
    let mut archive = Archive::default();
    archive.take(&pack);
    let listed: Vec<_> = archive.segments.keys().copied().collect();
    let mut expected: Vec<_> = recordings.iter().flat_map(|id| [(*id, 0), (*id, 1)]).collect();
    expected.sort_unstable();
    assert_eq!(listed, expected);

    delete(&opened.spool, &pack.plan);
    assert_eq!(opened.spool.drop_plan(&pack.plan), []);
    assert_eq!((opened.spool.used(), plans(dir.path())), (0, vec![]));
    record(&opened.spool).await;
    let next = opened.spool.pack(announced(&mut opened.finished)).pack.unwrap();
    assert_eq!(next.plan.name().number, 1, "numbers are not used twice");
}

#[tokio::test]
async fn a_crash_between_any_two_steps_loses_nothing_and_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let mut opened = open_spool(dir.path(), 1);
    let mut expected = Vec::new();
    for _ in 0..2 {
        let recording = record(&opened.spool).await;
        expected.extend([(recording, 0), (recording, 1)]);
    }
    expected.sort_unstable();
    let mut archive = Archive::default();
    let check = |step: &str, image: TempDir, archive: &Archive, planned: usize| {
        let mut archive = archive.clone();
        assert_eq!(go_on(image.path(), &mut archive), planned, "{step}");
        assert!(archive.segments.keys().eq(&expected), "{step}");
        archive.packs.len()
    };
    check("segments are finished", crash(dir.path()), &archive, 0);

    let waiting = announced(&mut opened.finished);
    let pack = opened.spool.pack(waiting).pack.unwrap();
    let unfinished = crash(dir.path());
    let [plan] = plans(unfinished.path()).try_into().unwrap();
    let torn = pack.plan.head();
    fs::remove_file(unfinished.path().join("packs").join(&plan)).unwrap();
    let name = unfinished.path().join("packs").join(plan.replace(".plan", ".new"));
    fs::write(name, &torn[..torn.len() / 2]).unwrap();
    check("half a plan is written", unfinished, &archive, 0);

    check("the plan is written", crash(dir.path()), &archive, 1);
    archive.take(&pack);
    let packs = check("the pack is archived and not acknowledged", crash(dir.path()), &archive, 1);
    assert_eq!(packs, 1, "the same object under the same name");
    for (at, segment) in pack.plan.segments().iter().enumerate() {
        opened.spool.acknowledge(segment.recording, segment.number, &segment.sha256).unwrap();
        check(&format!("{at} and what is before it are deleted"), crash(dir.path()), &archive, 0);
    }
    opened.spool.drop_plan(&pack.plan);
    check("the plan is deleted", crash(dir.path()), &archive, 0);
}

#[tokio::test]
async fn what_was_refused_waits_for_a_later_pack() {
    let dir = TempDir::new().unwrap();
    let mut opened = open_spool(dir.path(), 1);
    let (taken, refused) = (record(&opened.spool).await, record(&opened.spool).await);
    let pack = opened.spool.pack(announced(&mut opened.finished)).pack.unwrap();
    for segment in pack.plan.segments().iter().filter(|segment| segment.recording == taken) {
        opened.spool.acknowledge(segment.recording, segment.number, &segment.sha256).unwrap();
    }
    // A crash before the plan is dropped, and none.
    let mut archive = Archive::default();
    assert_eq!(go_on(crash(dir.path()).path(), &mut archive), 0);
    assert!(archive.segments.keys().eq(&[(refused, 0), (refused, 1)]));
    let left = opened.spool.drop_plan(&pack.plan);
    assert!(left.iter().map(|left| (left.recording, left.number)).eq([(refused, 0), (refused, 1)]));
    let next = opened.spool.pack(left).pack.unwrap();
    assert_eq!((next.plan.name().number, next.plan.segments().len()), (1, 2));
}

#[tokio::test]
async fn plans_of_an_earlier_process_stay_its_own_and_in_order() {
    let dir = TempDir::new().unwrap();
    let mut opened = open_spool(dir.path(), 1);
    let mut packs = Vec::new();
    for _ in 0..2 {
        record(&opened.spool).await;
        packs.push(opened.spool.pack(announced(&mut opened.finished)).pack.unwrap());
    }
    let unplanned = record(&opened.spool).await;
    let image = crash(dir.path());
    let mut next = open_spool(image.path(), 2);
    let waiting = announced(&mut next.finished);
    assert!(waiting.iter().all(|segment| segment.recording == unplanned), "what is planned is not announced");
    assert_eq!(waiting.len(), 2);
    for (planned, pack) in next.planned.into_iter().zip(&packs) {
        assert!(!next.spool.is_of_this_process(&planned));
        assert_eq!(next.spool.assemble(planned).unwrap().bytes, pack.bytes);
    }
    let own = next.spool.pack(waiting).pack.unwrap();
    assert!(next.spool.is_of_this_process(&own.plan));
    assert_eq!((own.plan.name().boot_id, own.plan.name().number), ([2; 16], 0));
}

#[tokio::test]
async fn a_plan_that_cannot_be_carried_out_is_dropped() {
    let dir = TempDir::new().unwrap();
    let mut opened = open_spool(dir.path(), 1);
    let recording = record(&opened.spool).await;
    let pack = opened.spool.pack(announced(&mut opened.finished)).pack.unwrap();
    let [plan] = plans(dir.path()).try_into().unwrap();
    type Change<'a> = &'a dyn Fn(&Path);
    let cases: [(&str, Change<'_>); 4] = [
        ("cut", &|at| fs::write(at.join("packs").join(&plan), &pack.plan.head()[..20]).unwrap()),
        ("misnamed", &|at| fs::rename(at.join("packs").join(&plan), at.join("packs/x-0.plan")).unwrap()),
        ("too long", &|at| fs::write(at.join("packs").join(&plan), vec![0; 1 << 20]).unwrap()),
        ("another length", &|at| {
            let segment = at.join(recording.to_string()).join("0.seg");
            fs::write(&segment, [fs::read(&segment).unwrap().as_slice(), b"x"].concat()).unwrap();
        }),
    ];
    for (case, change) in cases {
        let image = crash(dir.path());
        change(image.path());
        let mut next = open_spool(image.path(), 2);
        assert!(next.planned.is_empty() && plans(image.path()).is_empty(), "{case}");
        assert_eq!(announced(&mut next.finished).len(), 2, "{case}");
    }
    // Found only once it is read.
    let segment = dir.path().join(recording.to_string()).join("0.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[9] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let (plan, _) = opened.spool.assemble(pack.plan).unwrap_err();
    assert_eq!(opened.spool.drop_plan(&plan).len(), 2);
}

#[tokio::test]
async fn what_cannot_be_read_holds_up_its_own_recording_alone() {
    let dir = TempDir::new().unwrap();
    let mut opened = open_spool(dir.path(), 1);
    let (gone, there) = (record(&opened.spool).await, record(&opened.spool).await);
    fs::remove_file(dir.path().join(gone.to_string()).join("0.seg")).unwrap();
    let Packed { pack, rest, unreadable } = opened.spool.pack(announced(&mut opened.finished));
    assert!(pack.unwrap().plan.segments().iter().all(|segment| segment.recording == there));
    assert!(rest.iter().map(|segment| (segment.recording, segment.number)).eq([(gone, 1)]));
    assert!(unreadable.iter().map(|(segment, _)| (segment.recording, segment.number)).eq([(gone, 0)]));
}

#[tokio::test]
async fn a_disk_that_takes_no_plan_still_gets_emptied() {
    let dir = TempDir::new().unwrap();
    let mut opened = open_spool(dir.path(), 1);
    record(&opened.spool).await;
    fs::remove_dir(dir.path().join("packs")).unwrap();
    let pack = opened.spool.pack(announced(&mut opened.finished)).pack.unwrap();
    delete(&opened.spool, &pack.plan);
    assert_eq!((opened.spool.drop_plan(&pack.plan).len(), opened.spool.used()), (0, 0));
}

#[tokio::test]
async fn a_pack_is_bounded_and_nothing_overtakes_what_did_not_fit() {
    let dir = TempDir::new().unwrap();
    let mut opened = open_spool(dir.path(), 1);
    let recording = RecordingId::generate();
    let mut session = opened.spool.begin(recording).unwrap();
    session.append(&open(recording), Durability::PageCache).await.unwrap();
    for _ in 0..10 {
        let entry = intent_of(OperationId::generate(), noise(900 << 10));
        session.append(&entry, Durability::PageCache).await.unwrap();
    }
    session.close("client").await.unwrap();
    let mut waiting = announced(&mut opened.finished);
    let mut packs = Vec::new();
    while !waiting.is_empty() {
        let Packed { pack, rest, .. } = opened.spool.pack(waiting);
        packs.push(pack.unwrap());
        waiting = rest;
    }
    assert_eq!(packs.len(), 2);
    assert!(packs.iter().all(|pack| pack.bytes.len() <= 8 << 20));
    let numbers = packs.iter().flat_map(|pack| pack.plan.segments()).map(|segment| segment.number);
    assert!(numbers.clone().eq(0..numbers.count() as u32));
}
