//! The use cases over the real embedded store and file archive, with an Entra of a few lines.

mod asking;
mod bound;
mod classes;
mod forged;
mod forged_sessions;
mod identities;
mod ingest;
mod join;
mod resources;
mod revocation;
mod scene;
mod sessions;
mod using;
mod votes;
mod watch;

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use countersign_archive::FileArchive;
use countersign_entra::{MintError, MintRequest, Minted, TokenError, ValidatedToken};
use countersign_model::{PrincipalKind, Secret};
use countersign_pki::{ApprovalsKey, Ca, DeploymentKey, EdgeIdentity, EdgeKey};
use countersign_recording::OpeningKey;
use countersign_store_embedded::EmbeddedStore;
use countersign_wire::v1::{self, resource::Spec};
use ed25519_dalek::SigningKey;
use tempfile::TempDir;

use crate::*;

const TENANT: &str = "11111111-1111-4111-8111-111111111111";
const READER: &str = "22222222-2222-4222-8222-222222222222";
const READER_APP: &str = "33333333-3333-4333-8333-333333333333";
/// The application that people sign in with.
const CLIENT: &str = "77777777-7777-4777-8777-777777777777";
const STANDING: &str = "44444444-4444-4444-8444-444444444444";
const APPROVED: &str = "66666666-6666-4666-8666-666666666666";
const METADATA: &str = "55555555-5555-4555-8555-555555555555";
const PERMIT: &str = "permit (principal == Agent::\"reader\", action == Action::\"connect\", resource);";
const HOUR: Duration = Duration::from_secs(3600);

/// Tokens read `audience/kind/oid/uti/seconds of life/roles`; anything else has a bad signature. Only a `user` comes
/// through an application that is not the reader's; `user-by-agent` is one that Entra knows for an ordinary user of it.
struct FakeEntra {
    fails_with: Mutex<Option<MintError>>,
    asked: Mutex<Vec<(String, String, String)>>,
}

#[async_trait]
impl Tokens for FakeEntra {
    async fn validate(
        &self,
        token: &str,
        audience: &str,
        now: SystemTime,
    ) -> Result<ValidatedToken, TokenError> {
        let [aud, kind, oid, uti, life, roles] = token.split('/').collect::<Vec<_>>()[..] else {
            return Err(if token == "outage" { TokenError::KeysUnavailable } else { TokenError::Signature });
        };
        if aud != audience {
            return Err(TokenError::Audience);
        }
        Ok(ValidatedToken {
            tenant_id: TENANT.into(),
            object_id: oid.into(),
            app_id: Some(if kind == "user" { CLIENT } else { READER_APP }.into()),
            kind: match kind {
                "agent" => PrincipalKind::Agent,
                "for-user" => PrincipalKind::AgentForUser,
                _ => PrincipalKind::User,
            },
            roles: roles.split(',').map(str::to_owned).collect(),
            token_id: uti.into(),
            expires_at: now + Duration::from_secs(life.parse().unwrap()),
        })
    }
}

#[async_trait]
impl Minting for FakeEntra {
    async fn mint(&self, request: MintRequest<'_>, now: SystemTime) -> Result<Minted, MintError> {
        let asked = (request.client_id.to_owned(), request.subject.to_owned(), request.resource.to_owned());
        self.asked.lock().unwrap().push(asked);
        match self.fails_with.lock().unwrap().clone() {
            Some(error) => Err(error),
            None => Ok(Minted { token: Secret::new("minted".into()), expires_at: now + HOUR }),
        }
    }
}

struct Bench {
    core: Arc<Core>,
    entra: Arc<FakeEntra>,
    now: Arc<Mutex<SystemTime>>,
    folder: TempDir,
}

impl Bench {
    async fn empty() -> Self {
        Self::new(false).await
    }

    async fn new(one_zone_per_token: bool) -> Self {
        Self::set_to(|settings| settings.one_zone_per_token = one_zone_per_token).await
    }

    async fn set_to(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = Arc::new(Mutex::new(UNIX_EPOCH + Duration::from_secs(1_800_000_000)));
        let entra = Arc::new(FakeEntra { fails_with: Mutex::default(), asked: Mutex::default() });
        let mut settings = Settings {
            tenant_id: TENANT.into(),
            admin_audience: "admin".into(),
            lease: Duration::from_secs(300),
            one_zone_per_token: false,
            allow_token_votes: true,
        };
        change(&mut settings);
        let core = start(folder.path(), settings, entra.clone(), now.clone()).await;
        Self { core, entra, now, folder }
    }

    /// The process ends, and another one begins on what it left.
    async fn restart(self) -> Self {
        self.restart_after(|_| ()).await
    }

    /// The same, and somebody has been at what it left.
    async fn restart_after(self, forge: impl FnOnce(&Path)) -> Self {
        let Self { core, entra, now, folder } = self;
        let settings = core.parts.settings.clone();
        drop(Arc::into_inner(core).unwrap());
        forge(folder.path());
        let core = start(folder.path(), settings, entra.clone(), now.clone()).await;
        Self { core, entra, now, folder }
    }

    /// Zones `dev` and `prod` of audience `gateway`, target `shop` in `dev`, agent `reader`, and a permit to connect.
    async fn furnished(one_zone_per_token: bool) -> Self {
        Self::new(one_zone_per_token).await.furnish().await
    }

    async fn furnish(self) -> Self {
        let bench = self;
        for zone in ["dev", "prod"] {
            bench.apply(zone_named(zone)).await.unwrap();
        }
        bench.apply(shop()).await.unwrap();
        bench.apply(reader()).await.unwrap();
        bench.apply(bundle("base", PERMIT)).await.unwrap();
        bench
    }

    async fn apply(&self, resource: v1::Resource) -> Result<v1::Change, ResourceError> {
        self.core.apply(&self.admin().await, resource, false).await.map(|(_, change)| change)
    }

    async fn admin(&self) -> Admin {
        self.caller("user", "o", "countersign.admin").await.admin().unwrap()
    }

    /// Somebody with a token for the admin side.
    async fn caller(&self, kind: &str, object_id: &str, roles: &str) -> Caller {
        self.core.caller(&format!("admin/{kind}/{object_id}/u/60/{roles}")).await.unwrap()
    }

    fn pass(&self, time: Duration) {
        *self.now.lock().unwrap() += time;
    }

    /// An edge that is enrolled and attached.
    async fn edge(&self, zone: &str, name: &str) -> Edge {
        let (token, _) = self.core.create_join_token(&self.admin().await, zone, None).await.unwrap();
        let key = EdgeKey::generate().unwrap();
        let enrolled = self.core.enrol(token.expose(), &key.csr_der().unwrap(), name).await.unwrap();
        let peer = EdgeIdentity::from_certificate_der(&enrolled.certificate_chain[0]).unwrap();
        let edge = Edge { peer, key, boot: [7; 16], signing: SigningKey::from_bytes(&[9; 32]) };
        edge.attach(self).await;
        edge
    }

    async fn audited(&self, action: &str) -> usize {
        let entries = self.core.parts.store.audit(1, 1000).await.unwrap();
        entries.iter().filter(|entry| entry.event.action == action).count()
    }
}

struct Edge {
    peer: EdgeIdentity,
    key: EdgeKey,
    boot: [u8; 16],
    signing: SigningKey,
}

impl Edge {
    async fn attach(&self, bench: &Bench) -> Attached {
        self.attach_with(bench, &[]).await
    }

    /// Attaches as a process that has these sessions open.
    async fn attach_with(&self, bench: &Bench, open_sessions: &[&str]) -> Attached {
        let hello = v1::Hello {
            boot_id: self.boot.to_vec(),
            version: "1".into(),
            recording_key: self.signing.verifying_key().to_bytes().to_vec(),
            open_sessions: open_sessions.iter().map(|id| (*id).to_owned()).collect(),
        };
        let hello = Hello::try_from(hello).unwrap();
        bench.core.attach(self.peer.clone(), hello).await.unwrap().0
    }

    async fn open(&self, bench: &Bench, token: &str, target: &str) -> Result<v1::Session, OpenRefused> {
        let request = OpenRequest {
            token: Secret::new(token.into()),
            target: target.into(),
            client_address: "10.0.0.7".into(),
            client_user: "anything\u{1b}[2J".into(),
            boot_id: self.boot.to_vec(),
        };
        bench.core.open_session(&self.peer, request).await
    }

    async fn open_shop(&self, bench: &Bench) -> v1::Session {
        self.open(bench, &token("u-1"), "shop").await.unwrap()
    }
}

/// Opens what the edges of these tests record.
fn opening_key() -> OpeningKey {
    OpeningKey::from_secret(&[3; 32]).unwrap()
}

async fn start(
    folder: &Path,
    settings: Settings,
    entra: Arc<FakeEntra>,
    now: Arc<Mutex<SystemTime>>,
) -> Arc<Core> {
    let started = *now.lock().unwrap();
    let core = Core::start(Parts {
        store: Arc::new(EmbeddedStore::open(&folder.join("store.redb")).unwrap()),
        archive: Arc::new(FileArchive::open(folder.join("archive")).unwrap()),
        tokens: entra.clone(),
        minting: entra,
        ca: Arc::new(Ca::load_or_create(folder, &"acme".parse().unwrap(), started).unwrap()),
        deployment_key: Arc::new(DeploymentKey::load_or_create(&folder.join("key.pem")).unwrap()),
        approvals_key: Arc::new(ApprovalsKey::load_or_create(&folder.join("approvals.key")).unwrap()),
        opening_key: Arc::new(opening_key()),
        settings,
        clock: Arc::new(move || *now.lock().unwrap()),
    });
    Arc::new(core.await.unwrap())
}

/// Waits until it holds, for at most ten seconds.
async fn until(holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap();
}

/// One of the reader's, good for two hours.
fn token(uti: &str) -> String {
    format!("gateway/agent/{READER}/{uti}/7200/x")
}

fn resource(kind: &str, name: &str, spec: Spec) -> v1::Resource {
    v1::Resource { kind: kind.into(), name: name.into(), spec: Some(spec), version: 0 }
}

fn zone_named(name: &str) -> v1::Resource {
    resource("Zone", name, Spec::Zone(v1::ZoneSpec { audience: "gateway".into() }))
}

fn bundle(name: &str, policies: &str) -> v1::Resource {
    resource("PolicyBundle", name, Spec::PolicyBundle(v1::PolicyBundleSpec { policies: policies.into() }))
}

fn reader() -> v1::Resource {
    let spec = v1::AgentSpec {
        tenant_id: TENANT.into(),
        object_id: READER.into(),
        app_id: READER_APP.into(),
        description: String::new(),
        owners: Vec::new(),
    };
    resource("Agent", "reader", Spec::Agent(spec))
}

fn shop_spec() -> v1::TargetSpec {
    let identity = |client_id: &str, role: &str| {
        Some(v1::IdentitySpec { client_id: client_id.into(), login_role: role.into(), ..Default::default() })
    };
    v1::TargetSpec {
        zone: "dev".into(),
        postgres: Some(v1::PostgresSpec {
            host: "db.internal".into(),
            database: "shop".into(),
            ..Default::default()
        }),
        standing: identity(STANDING, "shop_reader"),
        metadata: identity(METADATA, "shop_catalog"),
        approved: identity(APPROVED, "shop_approved"),
        ..Default::default()
    }
}

fn shop() -> v1::Resource {
    resource("Target", "shop", Spec::Target(shop_spec()))
}
