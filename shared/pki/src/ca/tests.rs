use std::{os::unix::fs::PermissionsExt, sync::Arc, time::UNIX_EPOCH};

use rustls::{
    CertificateError, Error, ExtendedKeyPurpose, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::aws_lc_rs::default_provider,
    server::WebPkiClientVerifier,
};
use rustls_pki_types::{ServerName, UnixTime};

use super::*;
use crate::EdgeKey;

const HOUR: Duration = Duration::from_secs(3600);

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_900_000_000)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn ca() -> (tempfile::TempDir, Ca) {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::load_or_create(folder.path(), &name("acme"), now()).unwrap();
    (folder, ca)
}

fn edge(ca: &Ca) -> IssuedEdge {
    let csr = EdgeKey::generate().unwrap().csr_der().unwrap();
    ca.issue_edge(&csr, &name("prod-eu"), &name("edge-1"), now(), EDGE_VALIDITY).unwrap()
}

fn roots(ca: &Ca) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.root_der().clone()).unwrap();
    Arc::new(roots)
}

fn verify_client(ca: &Ca, leaf: &CertificateDer<'_>, at: SystemTime) -> Result<(), Error> {
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(ca), provider).build().unwrap();
    let at = UnixTime::since_unix_epoch(at.duration_since(UNIX_EPOCH).unwrap());
    verifier.verify_client_cert(leaf, &[], at).map(drop)
}

fn verify_server(ca: &Ca, leaf: &CertificateDer<'_>, name: &str) -> Result<(), Error> {
    let provider = Arc::new(default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(ca), provider).build().unwrap();
    let at = UnixTime::since_unix_epoch(now().duration_since(UNIX_EPOCH).unwrap());
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier.verify_server_cert(leaf, &[], &name, &[], at).map(drop)
}

fn certificate_error(result: Result<(), Error>) -> CertificateError {
    match result {
        Err(Error::InvalidCertificate(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_edge_is_who_its_certificate_says() {
    let (_folder, ca) = ca();
    let key = EdgeKey::generate().unwrap();
    let issued = ca
        .issue_edge(&key.csr_der().unwrap(), &name("prod-eu"), &name("edge-1"), now(), EDGE_VALIDITY)
        .unwrap();
    let leaf = &issued.chain[0];
    verify_client(&ca, leaf, now()).unwrap();
    let identity = EdgeIdentity::from_certificate_der(leaf).unwrap();
    assert_eq!(identity, issued.identity);
    assert_eq!(identity.spiffe_id(), "spiffe://acme/edge/prod-eu/edge-1");
    assert_eq!(identity.spki_sha256, key.spki_sha256());
    assert_eq!(identity.not_after, now() + EDGE_VALIDITY);
    let (_, parsed) = X509Certificate::from_der(leaf).unwrap();
    assert_eq!(parsed.raw_serial(), issued.serial);
    assert_ne!(edge(&ca).serial, issued.serial);
}

#[test]
fn an_edge_certificate_ends_and_begins() {
    let (_folder, ca) = ca();
    let issued = edge(&ca);
    let leaf = &issued.chain[0];
    verify_client(&ca, leaf, now() - BACKDATE).unwrap();
    let early = certificate_error(verify_client(&ca, leaf, now() - BACKDATE - HOUR));
    assert!(matches!(early, CertificateError::NotValidYetContext { .. }), "{early:?}");
    verify_client(&ca, leaf, now() + EDGE_VALIDITY).unwrap();
    let late = certificate_error(verify_client(&ca, leaf, now() + EDGE_VALIDITY + Duration::from_secs(1)));
    assert!(matches!(late, CertificateError::ExpiredContext { .. }), "{late:?}");
}

#[test]
fn another_authority_of_the_same_name_counts_for_nothing() {
    let ((_a, ours), (_b, theirs)) = (ca(), ca());
    let error = certificate_error(verify_client(&ours, &edge(&theirs).chain[0], now()));
    assert!(matches!(error, CertificateError::UnknownIssuer | CertificateError::BadSignature), "{error:?}");
}

#[test]
fn servers_are_no_clients_and_clients_no_servers() {
    let (_folder, ca) = ca();
    let server = ca.issue_server(&["localhost".into()], now(), HOUR).unwrap();
    let refused = certificate_error(verify_client(&ca, &server.chain[0], now()));
    let CertificateError::InvalidPurposeContext { required, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(required, ExtendedKeyPurpose::ClientAuth);
    assert!(verify_server(&ca, &edge(&ca).chain[0], "edge-1").is_err());
    assert_eq!(EdgeIdentity::from_certificate_der(&server.chain[0]), Err(crate::IdentityError::Names));
}

#[test]
fn an_edge_signs_no_further_certificates() {
    let (_folder, ca) = ca();
    let key = EdgeKey::generate().unwrap();
    let csr = key.csr_der().unwrap();
    let issued = ca.issue_edge(&csr, &name("z"), &name("mallory"), now(), EDGE_VALIDITY).unwrap();
    let signer = KeyPair::from_pem(&key.to_pem()).unwrap();
    let mallory = Issuer::from_ca_cert_der(&issued.chain[0], signer).unwrap();
    let forged = {
        let mut params = leaf_params(now(), HOUR).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![SanType::URI("spiffe://acme/edge/z/victim".try_into().unwrap())];
        params.signed_by(&KeyPair::generate().unwrap(), &mallory).unwrap()
    };
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(&ca), provider).build().unwrap();
    let at = UnixTime::since_unix_epoch(now().duration_since(UNIX_EPOCH).unwrap());
    assert!(verifier.verify_client_cert(forged.der(), &issued.chain, at).is_err());
}

#[test]
fn servers_verify_under_each_of_their_names() {
    let (_folder, ca) = ca();
    let names = ["localhost", "127.0.0.1", "::1", "cp.acme.example"].map(String::from);
    let server = ca.issue_server(&names, now(), HOUR).unwrap();
    for name in &names {
        verify_server(&ca, &server.chain[0], name).unwrap();
    }
    let error = certificate_error(verify_server(&ca, &server.chain[0], "other.example"));
    assert!(matches!(error, CertificateError::NotValidForNameContext { .. }), "{error:?}");
    for bad in ["", "a b", "-x"] {
        assert!(matches!(ca.issue_server(&[bad.into()], now(), HOUR), Err(CaError::ServerName(_))), "{bad}");
    }
    assert!(matches!(ca.issue_server(&[], now(), HOUR), Err(CaError::ServerName(_))));
}

#[test]
fn of_a_request_only_the_key_is_taken() {
    let (_folder, ca) = ca();
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let csr = params.serialize_request(&key).unwrap();
        let issued = ca.issue_edge(csr.der(), &name("z"), &name("e"), now(), HOUR).unwrap();
        let (_, leaf) = X509Certificate::from_der(&issued.chain[0]).unwrap();
        assert!(!leaf.is_ca());
        assert_eq!(leaf.subject().iter().count(), 0);
        assert_eq!(leaf.public_key().raw, key.subject_public_key_info());
        let usage = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth);
        verify_client(&ca, &issued.chain[0], now()).unwrap();
    }
}

#[test]
fn bad_requests_are_refused() {
    let (_folder, ca) = ca();
    let issue = |csr: &[u8]| match ca.issue_edge(csr, &name("z"), &name("e"), now(), HOUR) {
        Err(CaError::Csr(text)) => text,
        other => panic!("{other:?}"),
    };
    let good = EdgeKey::generate().unwrap().csr_der().unwrap();

    let mut tampered = good.clone();
    *tampered.last_mut().unwrap() ^= 1;
    assert_eq!(issue(&tampered), "not signed by its own key");
    let foreign = {
        // The public key of somebody else under a signature of one's own.
        let key = |csr: &[u8]| requested_key(csr).unwrap().subject_public_key_info();
        let (ours, theirs) = (key(&good), key(&EdgeKey::generate().unwrap().csr_der().unwrap()));
        let at = good.windows(ours.len()).position(|window| window == ours).unwrap();
        [&good[..at], &theirs, &good[at + ours.len()..]].concat()
    };
    assert_eq!(issue(&foreign), "not signed by its own key");
    assert_eq!(issue(&[&*good, &[0]].concat()), "bytes after the request");
    assert_eq!(issue(&good[..40]), "not a PKCS#10 request");
    assert_eq!(issue(b""), "not a PKCS#10 request");
    assert_eq!(issue(&vec![0; MAX_CSR + 1]), "too long");
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let rsa = CertificateParams::default().serialize_request(&rsa).unwrap();
    assert_eq!(issue(rsa.der()), "the key must be P-256, P-384 or Ed25519");
}

#[test]
fn a_reload_goes_on_with_the_same_root() {
    let (folder, first) = ca();
    let second = Ca::load_or_create(folder.path(), &name("acme"), now() + HOUR).unwrap();
    assert_eq!(first.root_der(), second.root_der());
    verify_client(&first, &edge(&second).chain[0], now()).unwrap();
    let mode = |file| fs::metadata(folder.path().join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("ca-key.pem"), 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing unfinished stays");
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let (folder, ours) = ca();
    let other = Ca::load_or_create(folder.path(), &name("other"), now());
    assert!(matches!(other, Err(CaError::Deployment { .. })));

    let (foreign, _) = ca();
    fs::copy(foreign.path().join("ca.pem"), folder.path().join("ca.pem")).unwrap();
    let mixed = Ca::load_or_create(folder.path(), &name("acme"), now());
    assert!(matches!(mixed, Err(CaError::Files(KeyFileError::Malformed { .. }))));

    fs::remove_file(foreign.path().join("ca-key.pem")).unwrap();
    assert!(Ca::load_or_create(foreign.path(), &name("acme"), now()).is_err());
    assert!(!foreign.path().join("ca-key.pem").exists(), "no new key under an old certificate");

    // A start that died between key and certificate is taken up: old leaves verify under the new root as well.
    fs::remove_file(folder.path().join("ca.pem")).unwrap();
    let again = Ca::load_or_create(folder.path(), &name("acme"), now()).unwrap();
    verify_client(&again, &edge(&ours).chain[0], now()).unwrap();
}

#[test]
fn an_authority_that_others_can_read_is_refused() {
    let (folder, _) = ca();
    fs::set_permissions(folder.path().join("ca-key.pem"), fs::Permissions::from_mode(0o640)).unwrap();
    let opened = Ca::load_or_create(folder.path(), &name("acme"), now());
    assert!(matches!(opened, Err(CaError::Files(KeyFileError::TooOpen { mode: 0o640, .. }))));
}
