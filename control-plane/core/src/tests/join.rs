use super::*;

#[tokio::test]
async fn a_join_token_serves_once_for_its_zone_and_for_a_while() {
    let bench = Bench::furnished(false).await;
    let admin = bench.admin().await;
    let csr = EdgeKey::generate().unwrap().csr_der().unwrap();
    let (token, _) = bench.core.create_join_token(&admin, "dev", None).await.unwrap();
    let enrolled = bench.core.enrol(token.expose(), &csr, "edge-1").await.unwrap();
    let identity = EdgeIdentity::from_certificate_der(&enrolled.certificate_chain[0]).unwrap();
    assert_eq!(identity.to_string(), "spiffe://acme/edge/dev/edge-1");
    let again = bench.core.enrol(token.expose(), &csr, "edge-2").await;
    assert!(matches!(again, Err(EnrolRefused::Token)), "{again:?}");

    let (token, _) = bench.core.create_join_token(&admin, "dev", Some(HOUR)).await.unwrap();
    assert!(matches!(
        bench.core.enrol(token.expose(), b"junk", "edge-2").await,
        Err(EnrolRefused::Malformed(_))
    ));
    assert!(matches!(bench.core.enrol(token.expose(), &csr, "edge-1").await, Err(EnrolRefused::NameTaken)));
    bench.pass(HOUR);
    assert!(matches!(bench.core.enrol(token.expose(), &csr, "edge-2").await, Err(EnrolRefused::Token)));
    assert!(matches!(bench.core.enrol("guess", &csr, "edge-2").await, Err(EnrolRefused::Token)));

    let too_long = bench.core.create_join_token(&admin, "dev", Some(MAX_JOIN_TTL + HOUR)).await;
    assert!(matches!(too_long, Err(ResourceError::Invalid(_))));
    assert!(matches!(bench.core.create_join_token(&admin, "none", None).await, Err(ResourceError::NotFound)));
}

#[tokio::test]
async fn renewal_keeps_zone_and_name_and_key() {
    let bench = Bench::furnished(false).await;
    let edge = bench.edge("dev", "edge-1").await;
    let renewed = bench.core.renew(&edge.peer, &edge.key.csr_der().unwrap()).await.unwrap();
    let identity = EdgeIdentity::from_certificate_der(&renewed[0]).unwrap();
    assert_eq!((identity.zone.as_str(), identity.name.as_str()), ("dev", "edge-1"));
    let thief = EdgeKey::generate().unwrap();
    let other = bench.core.renew(&edge.peer, &thief.csr_der().unwrap()).await;
    assert!(matches!(other, Err(EdgeError::Malformed(_))), "{other:?}");
    bench.core.renew(&edge.peer, &edge.key.csr_der().unwrap()).await.unwrap();
    assert_eq!(bench.audited("edge.renewed").await, 2);
    for stranger in [
        EdgeIdentity { zone: "prod".parse().unwrap(), ..edge.peer.clone() },
        EdgeIdentity { name: "edge-2".parse().unwrap(), ..edge.peer.clone() },
        EdgeIdentity { deployment: "other".parse().unwrap(), ..edge.peer.clone() },
    ] {
        let refused = bench.core.renew(&stranger, &edge.key.csr_der().unwrap()).await;
        assert!(matches!(refused, Err(EdgeError::NotEnrolled)), "{stranger}");
    }
}

#[tokio::test]
async fn the_newest_process_has_the_lease() {
    let bench = Bench::furnished(false).await;
    let mut edge = bench.edge("dev", "edge-1").await;
    let first = edge.attach(&bench).await;
    let session = edge.open_shop(&bench).await;
    assert!(bench.core.list_edges().await.unwrap()[0].attached);
    first.renew_lease().await.unwrap();

    edge.boot = [8; 16];
    edge.signing = SigningKey::from_bytes(&[8; 32]);
    let second = edge.attach(&bench).await;
    assert!(matches!(first.renew_lease().await, Err(EdgeError::NotAttached)));
    drop(first);
    assert!(bench.core.list_edges().await.unwrap()[0].attached, "the newer stream stays");
    let lease = second.renew_lease().await.unwrap();
    assert_eq!(lease.valid_for.unwrap().seconds, 300);
    let left = bench.core.get_session(&session.id).await.unwrap();
    assert_eq!(left.state(), v1::SessionState::Closed, "a session ends with the process that had it");
    drop(second);
    assert!(!bench.core.list_edges().await.unwrap()[0].attached);
}

#[tokio::test]
async fn a_deleted_edge_is_shut_out_for_good() {
    let bench = Bench::furnished(false).await;
    let (edge, other) = (bench.edge("dev", "edge-1").await, bench.edge("dev", "edge-2").await);
    let (stream, others) = (edge.attach(&bench).await, other.attach(&bench).await);
    let (session, kept) = (edge.open_shop(&bench).await, other.open_shop(&bench).await);
    let admin = bench.admin().await;
    // It does not confirm, so this waits for it as long as for any other that hangs.
    let revocation = bench.core.delete_edge(&admin, "edge-1").await.unwrap();
    assert!(
        !revocation.confirmed && revocation.cut_by.is_some() && revocation.sessions == 1,
        "{revocation:?}"
    );
    let cut = tokio::time::timeout(Duration::from_secs(5), stream.cut()).await.unwrap();
    assert!(matches!(cut, EdgeError::NotEnrolled), "{cut:?}");
    assert!(matches!(stream.renew_lease().await, Err(EdgeError::NotEnrolled)));
    assert_eq!(bench.core.get_session(&session.id).await.unwrap().state(), v1::SessionState::Closed);
    assert_eq!(bench.core.get_session(&kept.id).await.unwrap().state(), v1::SessionState::Open);
    assert!(tokio::time::timeout(Duration::ZERO, others.cut()).await.is_err(), "the other edge stays");
    assert_eq!(bench.audited("edge.deleted").await, 1);
    assert!(matches!(bench.core.delete_edge(&admin, "edge-1").await, Err(ResourceError::NotFound)));

    // Somebody else has the name now; the old certificate does not become good by that.
    let anew = bench.edge("dev", "edge-1").await;
    let hello = v1::Hello {
        boot_id: vec![5; 16],
        version: "1".into(),
        recording_key: vec![5; 32],
        ..Default::default()
    };
    let thief = bench.core.attach(edge.peer.clone(), Hello::try_from(hello).unwrap()).await;
    assert!(matches!(thief, Err(EdgeError::NotEnrolled)), "{thief:?}");
    let opened = edge.open(&bench, &token("u-1"), "shop").await;
    assert!(matches!(opened, Err(OpenRefused::Edge(EdgeError::NotEnrolled))), "{opened:?}");
    let renewed = bench.core.renew(&edge.peer, &edge.key.csr_der().unwrap()).await;
    assert!(matches!(renewed, Err(EdgeError::NotEnrolled)), "{renewed:?}");
    anew.open_shop(&bench).await;
}

#[tokio::test]
async fn a_newer_stream_cuts_the_older_and_an_ended_certificate_has_no_lease() {
    let bench = Bench::furnished(false).await;
    let edge = bench.edge("dev", "edge-1").await;
    let older = edge.attach(&bench).await;
    let newer = edge.attach(&bench).await;
    assert!(matches!(older.cut().await, EdgeError::NotAttached));
    drop(older);
    assert!(bench.core.list_edges().await.unwrap()[0].attached, "also of the same process");
    newer.renew_lease().await.unwrap();
    bench.pass(countersign_pki::EDGE_VALIDITY);
    assert!(matches!(newer.renew_lease().await, Err(EdgeError::CertificateEnded)));
    assert!(matches!(newer.cut().await, EdgeError::CertificateEnded));
}

#[tokio::test]
async fn a_boot_has_one_recording_key() {
    let bench = Bench::furnished(false).await;
    let edge = bench.edge("dev", "edge-1").await;
    let hello = v1::Hello {
        boot_id: edge.boot.to_vec(),
        version: "1".into(),
        recording_key: vec![1; 32],
        ..Default::default()
    };
    let refused = bench.core.attach(edge.peer.clone(), Hello::try_from(hello.clone()).unwrap()).await;
    assert!(matches!(refused, Err(EdgeError::Malformed(_))));
    assert!(Hello::try_from(v1::Hello { boot_id: vec![1; 15], ..hello.clone() }).is_err());
    assert!(Hello::try_from(v1::Hello { recording_key: vec![1; 31], ..hello }).is_err());
}
