//! Join tokens, edges and their processes as they lie in the file.

use countersign_store::{EdgeBoot, EdgeCertificate, EdgeRecord, JoinToken};
use prost::Message;

use super::{exactly, instant, name, nanos};
use crate::tables::Broken;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredJoinToken {
    #[prost(string, tag = "1")]
    zone: String,
    #[prost(uint64, tag = "2")]
    expires_at: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredEdge {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    zone: String,
    #[prost(uint64, tag = "3")]
    enrolled_at: u64,
    #[prost(bytes = "vec", tag = "4")]
    serial: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    spki_sha256: Vec<u8>,
    #[prost(uint64, tag = "6")]
    not_after: u64,
    #[prost(message, optional, tag = "7")]
    boot: Option<StoredBoot>,
    #[prost(uint64, optional, tag = "8")]
    lease_expires_at: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredBoot {
    #[prost(bytes = "vec", tag = "1")]
    boot_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    recording_key: Vec<u8>,
    #[prost(string, tag = "3")]
    version: String,
}

impl From<&JoinToken> for StoredJoinToken {
    fn from(token: &JoinToken) -> Self {
        Self { zone: token.zone.to_string(), expires_at: nanos(token.expires_at) }
    }
}

impl StoredJoinToken {
    pub(crate) fn into_token(self, sha256: [u8; 32]) -> Result<JoinToken, Broken> {
        Ok(JoinToken { sha256, zone: name(&self.zone)?, expires_at: instant(self.expires_at) })
    }
}

impl From<&EdgeRecord> for StoredEdge {
    fn from(edge: &EdgeRecord) -> Self {
        Self {
            name: edge.name.to_string(),
            zone: edge.zone.to_string(),
            enrolled_at: nanos(edge.enrolled_at),
            serial: edge.certificate.serial.clone(),
            spki_sha256: edge.certificate.spki_sha256.to_vec(),
            not_after: nanos(edge.certificate.not_after),
            boot: edge.boot.as_ref().map(Into::into),
            lease_expires_at: edge.lease_expires_at.map(nanos),
        }
    }
}

impl TryFrom<StoredEdge> for EdgeRecord {
    type Error = Broken;

    fn try_from(stored: StoredEdge) -> Result<Self, Broken> {
        Ok(Self {
            name: name(&stored.name)?,
            zone: name(&stored.zone)?,
            enrolled_at: instant(stored.enrolled_at),
            certificate: EdgeCertificate {
                serial: stored.serial,
                spki_sha256: exactly(stored.spki_sha256)?,
                not_after: instant(stored.not_after),
            },
            boot: stored.boot.map(TryInto::try_into).transpose()?,
            lease_expires_at: stored.lease_expires_at.map(instant),
        })
    }
}

impl From<&EdgeBoot> for StoredBoot {
    fn from(boot: &EdgeBoot) -> Self {
        Self {
            boot_id: boot.boot_id.to_vec(),
            recording_key: boot.recording_key.to_vec(),
            version: boot.version.clone(),
        }
    }
}

impl TryFrom<StoredBoot> for EdgeBoot {
    type Error = Broken;

    fn try_from(stored: StoredBoot) -> Result<Self, Broken> {
        Ok(Self {
            boot_id: exactly(stored.boot_id)?,
            recording_key: exactly(stored.recording_key)?,
            version: stored.version,
        })
    }
}
