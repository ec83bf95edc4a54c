//! Who an edge is, as its certificate says: `spiffe://<deployment>/edge/<zone>/<name>`.
//!
//! Source of the form: SPIFFE-ID and X509-SVID specifications (one URI SAN, which is the identity).

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use countersign_model::Name;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The identity that a certificate gives an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeIdentity {
    /// The deployment: SPIFFE's trust domain.
    pub deployment: Name,
    /// The network zone.
    pub zone: Name,
    /// The edge, unique in the deployment.
    pub name: Name,
    /// SHA-256 of the certificate's SubjectPublicKeyInfo in DER.
    pub spki_sha256: [u8; 32],
    /// End of the certificate; whole seconds.
    pub not_after: SystemTime,
}

/// Why a certificate names no edge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not one certificate in DER.
    #[error("not an X.509 certificate")]
    Malformed,
    /// It has no subject alternative name, more than one, or one that is no URI.
    #[error("the certificate's one subject alternative name must be a SPIFFE id")]
    Names,
    /// The URI is not exactly of the form of an edge's id.
    #[error("the SPIFFE id is not one of an edge")]
    SpiffeId,
}

impl EdgeIdentity {
    /// Reads the identity out of a certificate that the TLS layer has *already verified* against the deployment's
    /// root. Nothing is verified here; subject and common name are not looked at.
    pub fn from_certificate_der(der: &[u8]) -> Result<Self, IdentityError> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| IdentityError::Malformed)?;
        if !rest.is_empty() {
            return Err(IdentityError::Malformed);
        }
        let names = certificate.subject_alternative_name().map_err(|_| IdentityError::Names)?;
        let names = names.ok_or(IdentityError::Names)?;
        let [GeneralName::URI(uri)] = *names.value.general_names else { return Err(IdentityError::Names) };
        let (deployment, zone, name) = parse_spiffe_id(uri).ok_or(IdentityError::SpiffeId)?;
        let not_after = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
        Ok(Self {
            deployment,
            zone,
            name,
            spki_sha256: Sha256::digest(certificate.public_key().raw).into(),
            not_after: UNIX_EPOCH + Duration::from_secs(not_after),
        })
    }

    /// `spiffe://<deployment>/edge/<zone>/<name>`
    pub fn spiffe_id(&self) -> String {
        spiffe_id(&self.deployment, &self.zone, &self.name)
    }
}

impl fmt::Display for EdgeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spiffe_id())
    }
}

pub(crate) fn spiffe_id(deployment: &Name, zone: &Name, name: &Name) -> String {
    format!("spiffe://{deployment}/edge/{zone}/{name}")
}

/// Byte for byte: other spellings of a URI (case, percent signs, ports, empty segments) are none of ours.
fn parse_spiffe_id(uri: &str) -> Option<(Name, Name, Name)> {
    let mut segments = uri.strip_prefix("spiffe://")?.split('/');
    let deployment = segments.next()?.parse().ok()?;
    if segments.next()? != "edge" {
        return None;
    }
    let zone = segments.next()?.parse().ok()?;
    let name = segments.next()?.parse().ok()?;
    segments.next().is_none().then_some((deployment, zone, name))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    #[test]
    fn reads_exactly_the_form_of_an_edge() {
        let id = "spiffe://acme/edge/prod-eu/edge-1";
        let identity = EdgeIdentity::from_certificate_der(&certificate(vec![uri(id)])).unwrap();
        assert_eq!((identity.zone.as_str(), identity.name.as_str()), ("prod-eu", "edge-1"));
        assert_eq!(identity.to_string(), id);
        for bad in [
            "spiffe://acme/edge/prod-eu",
            "spiffe://acme/edge/prod-eu/edge-1/",
            "spiffe://acme/edge/prod-eu/edge-1/x",
            "spiffe://acme/edge//edge-1",
            "spiffe://acme/node/prod-eu/edge-1",
            "spiffe://acme:1/edge/prod-eu/edge-1",
            "spiffe://acme/edge/prod-eu/edge%2d1",
            "spiffe://acme/edge/prod-eu/../edge-1",
            "SPIFFE://acme/edge/prod-eu/edge-1",
            "spiffe://acme/edge/prod-eu/edge-1?x",
            "https://acme/edge/prod-eu/edge-1",
        ] {
            let der = certificate(vec![uri(bad)]);
            assert_eq!(EdgeIdentity::from_certificate_der(&der), Err(IdentityError::SpiffeId), "{bad}");
        }
    }

    #[test]
    fn takes_no_name_but_one_uri() {
        let id = || uri("spiffe://acme/edge/prod-eu/edge-1");
        let dns = || SanType::DnsName("spiffe.example".try_into().unwrap());
        for names in [vec![], vec![dns()], vec![id(), dns()], vec![dns(), id()], vec![id(), id()]] {
            let der = certificate(names.clone());
            assert_eq!(EdgeIdentity::from_certificate_der(&der), Err(IdentityError::Names), "{names:?}");
        }
    }

    #[test]
    fn takes_nothing_but_one_certificate() {
        let mut der = certificate(vec![uri("spiffe://acme/edge/prod-eu/edge-1")]);
        der.push(0);
        assert_eq!(EdgeIdentity::from_certificate_der(&der), Err(IdentityError::Malformed));
        assert_eq!(EdgeIdentity::from_certificate_der(&der[..100]), Err(IdentityError::Malformed));
        assert_eq!(EdgeIdentity::from_certificate_der(b""), Err(IdentityError::Malformed));
    }
}
