//! Records as they lie in the file: protobuf, so that later versions can add fields. Numbers are never used again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign_model::{Name, Principal, PrincipalKind};
use countersign_store::{
    AuditEntry, AuditEvent, EdgeBoot, EdgeCertificate, EdgeRecord, JoinToken, Recording, Segment,
    SessionRecord,
};
use prost::Message;

use crate::tables::Broken;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredResource {
    #[prost(uint64, tag = "1")]
    pub(crate) version: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) spec: Vec<u8>,
    /// Only the version is kept, to go on counting from.
    #[prost(bool, tag = "3")]
    pub(crate) deleted: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredSession {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    recording: String,
    #[prost(string, tag = "3")]
    tenant_id: String,
    #[prost(string, tag = "4")]
    object_id: String,
    #[prost(string, optional, tag = "5")]
    app_id: Option<String>,
    #[prost(uint32, tag = "6")]
    kind: u32,
    #[prost(string, optional, tag = "7")]
    agent: Option<String>,
    #[prost(string, repeated, tag = "8")]
    roles: Vec<String>,
    #[prost(string, tag = "9")]
    token_id: String,
    #[prost(string, tag = "10")]
    zone: String,
    #[prost(string, tag = "11")]
    target: String,
    #[prost(string, tag = "12")]
    edge: String,
    #[prost(bytes = "vec", tag = "13")]
    boot_id: Vec<u8>,
    #[prost(string, optional, tag = "14")]
    client_address: Option<String>,
    #[prost(string, tag = "15")]
    client_user: String,
    #[prost(uint64, tag = "16")]
    opened_at: u64,
    #[prost(uint64, tag = "17")]
    deadline: u64,
    #[prost(uint64, optional, tag = "18")]
    closed_at: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredRecording {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    session: String,
    #[prost(bytes = "vec", repeated, tag = "3")]
    signing_keys: Vec<Vec<u8>>,
    #[prost(uint32, tag = "4")]
    segments: u32,
    #[prost(uint64, tag = "5")]
    bytes: u64,
    #[prost(message, optional, tag = "6")]
    tail: Option<StoredSegment>,
    #[prost(bool, tag = "7")]
    sealed: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredSegment {
    #[prost(uint32, tag = "1")]
    number: u32,
    #[prost(bytes = "vec", tag = "2")]
    sha256: Vec<u8>,
    #[prost(uint64, tag = "3")]
    bytes: u64,
    #[prost(uint32, tag = "4")]
    frame_count: u32,
    #[prost(uint64, tag = "5")]
    first_sequence: u64,
    #[prost(bytes = "vec", tag = "6")]
    last_link: Vec<u8>,
    #[prost(bytes = "vec", tag = "7")]
    signing_key: Vec<u8>,
    #[prost(bool, tag = "8")]
    last: bool,
}

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

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredAuditEntry {
    #[prost(uint64, tag = "1")]
    sequence: u64,
    #[prost(uint64, tag = "2")]
    at: u64,
    #[prost(string, tag = "3")]
    actor: String,
    #[prost(string, tag = "4")]
    action: String,
    #[prost(string, tag = "5")]
    subject: String,
    #[prost(message, repeated, tag = "6")]
    detail: Vec<StoredDetail>,
    #[prost(bytes = "vec", tag = "7")]
    previous: Vec<u8>,
    #[prost(bytes = "vec", tag = "8")]
    hash: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredDetail {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredTokenUse {
    #[prost(string, tag = "1")]
    pub(crate) zone: String,
}

/// Nanoseconds since 1970, which fit until 2554.
pub(crate) fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn instant(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

pub(crate) fn name(text: &str) -> Result<Name, Broken> {
    text.parse().map_err(|_| Broken::corrupt("name"))
}

fn id<T: std::str::FromStr>(text: &str) -> Result<T, Broken> {
    text.parse().map_err(|_| Broken::corrupt("id"))
}

fn exactly<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N], Broken> {
    bytes.try_into().map_err(|_| Broken::corrupt("key or hash"))
}

impl From<&SessionRecord> for StoredSession {
    fn from(session: &SessionRecord) -> Self {
        let principal = &session.principal;
        Self {
            id: session.id.to_string(),
            recording: session.recording.to_string(),
            tenant_id: principal.tenant_id.to_string(),
            object_id: principal.object_id.to_string(),
            app_id: principal.app_id.as_ref().map(ToString::to_string),
            kind: match principal.kind {
                PrincipalKind::Agent => 1,
                PrincipalKind::User => 2,
                PrincipalKind::AgentForUser => 3,
            },
            agent: principal.agent.as_ref().map(Name::to_string),
            roles: principal.roles.clone(),
            token_id: session.token_id.clone(),
            zone: session.zone.to_string(),
            target: session.target.to_string(),
            edge: session.edge.to_string(),
            boot_id: session.boot_id.to_vec(),
            client_address: session.client_address.map(|address| address.to_string()),
            client_user: session.client_user.clone(),
            opened_at: nanos(session.opened_at),
            deadline: nanos(session.deadline),
            closed_at: session.closed_at.map(nanos),
        }
    }
}

impl TryFrom<StoredSession> for SessionRecord {
    type Error = Broken;

    fn try_from(stored: StoredSession) -> Result<Self, Broken> {
        let principal = Principal {
            tenant_id: stored.tenant_id.into(),
            object_id: stored.object_id.into(),
            app_id: stored.app_id.map(Into::into),
            kind: match stored.kind {
                1 => PrincipalKind::Agent,
                2 => PrincipalKind::User,
                3 => PrincipalKind::AgentForUser,
                _ => return Err(Broken::corrupt("kind of principal")),
            },
            agent: stored.agent.as_deref().map(name).transpose()?,
            roles: stored.roles,
        };
        let client_address = stored.client_address.map(|text| text.parse());
        Ok(Self {
            id: id(&stored.id)?,
            recording: id(&stored.recording)?,
            principal,
            token_id: stored.token_id,
            zone: name(&stored.zone)?,
            target: name(&stored.target)?,
            edge: name(&stored.edge)?,
            boot_id: exactly(stored.boot_id)?,
            client_address: client_address.transpose().map_err(|_| Broken::corrupt("address"))?,
            client_user: stored.client_user,
            opened_at: instant(stored.opened_at),
            deadline: instant(stored.deadline),
            closed_at: stored.closed_at.map(instant),
        })
    }
}

impl From<&Recording> for StoredRecording {
    fn from(recording: &Recording) -> Self {
        Self {
            id: recording.id.to_string(),
            session: recording.session.to_string(),
            signing_keys: recording.signing_keys.iter().map(|key| key.to_vec()).collect(),
            segments: recording.segments,
            bytes: recording.bytes,
            tail: recording.tail.as_ref().map(Into::into),
            sealed: recording.sealed,
        }
    }
}

impl TryFrom<StoredRecording> for Recording {
    type Error = Broken;

    fn try_from(stored: StoredRecording) -> Result<Self, Broken> {
        Ok(Self {
            id: id(&stored.id)?,
            session: id(&stored.session)?,
            signing_keys: stored.signing_keys.into_iter().map(exactly).collect::<Result<_, _>>()?,
            segments: stored.segments,
            bytes: stored.bytes,
            tail: stored.tail.map(TryInto::try_into).transpose()?,
            sealed: stored.sealed,
        })
    }
}

impl From<&Segment> for StoredSegment {
    fn from(segment: &Segment) -> Self {
        Self {
            number: segment.number,
            sha256: segment.sha256.to_vec(),
            bytes: segment.bytes,
            frame_count: segment.frame_count,
            first_sequence: segment.first_sequence,
            last_link: segment.last_link.to_vec(),
            signing_key: segment.signing_key.to_vec(),
            last: segment.last,
        }
    }
}

impl TryFrom<StoredSegment> for Segment {
    type Error = Broken;

    fn try_from(stored: StoredSegment) -> Result<Self, Broken> {
        Ok(Self {
            number: stored.number,
            sha256: exactly(stored.sha256)?,
            bytes: stored.bytes,
            frame_count: stored.frame_count,
            first_sequence: stored.first_sequence,
            last_link: exactly(stored.last_link)?,
            signing_key: exactly(stored.signing_key)?,
            last: stored.last,
        })
    }
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

impl From<&AuditEntry> for StoredAuditEntry {
    fn from(entry: &AuditEntry) -> Self {
        let detail = entry.event.detail.iter();
        Self {
            sequence: entry.sequence,
            at: nanos(entry.event.at),
            actor: entry.event.actor.clone(),
            action: entry.event.action.clone(),
            subject: entry.event.subject.clone(),
            detail: detail
                .map(|(key, value)| StoredDetail { key: key.clone(), value: value.clone() })
                .collect(),
            previous: entry.previous.to_vec(),
            hash: entry.hash.to_vec(),
        }
    }
}

impl TryFrom<StoredAuditEntry> for AuditEntry {
    type Error = Broken;

    fn try_from(stored: StoredAuditEntry) -> Result<Self, Broken> {
        let event = AuditEvent {
            at: instant(stored.at),
            actor: stored.actor,
            action: stored.action,
            subject: stored.subject,
            detail: stored.detail.into_iter().map(|detail| (detail.key, detail.value)).collect(),
        };
        Ok(Self {
            sequence: stored.sequence,
            event,
            previous: exactly(stored.previous)?,
            hash: exactly(stored.hash)?,
        })
    }
}
