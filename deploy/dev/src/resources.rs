//! What the admin of the story declares, by the same interface as any admin.

use std::net::SocketAddr;

use anyhow::Context as _;
use countersign_entra_emulator::development::DevelopmentIds;
use countersign_wire::v1::{
    self, edge_admin_service_client::EdgeAdminServiceClient, resource::Spec,
    resource_service_client::ResourceServiceClient,
};
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::postgres;

/// The one zone.
pub(crate) const ZONE: &str = "dev";
/// The one target.
pub(crate) const TARGET: &str = "shop";
/// What comes back masked: a class, the column of customers that has it, if one does, and what is looked for
/// anywhere.
const CLASSES: [(&str, Option<&str>, v1::Detector); 4] = [
    ("card", Some("card"), v1::Detector::Card),
    ("email", Some("email"), v1::Detector::Email),
    ("jwt", None, v1::Detector::Jwt),
    ("ssn", None, v1::Detector::Ssn),
];
/// The registered agents; `stranger` is known to Entra alone.
const AGENTS: [&str; 2] = ["reader", "writer"];
/// Who owns the writer, and so never votes on what it asks.
const WRITERS_OWNER: &str = "sponsor";

const POLICIES: &str = include_str!("../../examples/shop-policies.cedar");

/// An admin of the control plane.
pub(crate) struct Admin {
    channel: Channel,
    authorization: MetadataValue<Ascii>,
}

impl Admin {
    pub(crate) async fn connect(url: &str, root_pem: &str, token: &str) -> anyhow::Result<Self> {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(root_pem));
        let endpoint = Endpoint::from_shared(url.to_owned())?.tls_config(tls)?;
        let channel = endpoint.connect().await.context("the admin listener does not answer")?;
        let mut authorization: MetadataValue<Ascii> = format!("Bearer {token}").parse()?;
        authorization.set_sensitive(true);
        Ok(Self { channel, authorization })
    }

    /// Declares the story: its zone, its target, its data classes, its agents, its policies.
    pub(crate) async fn declare(
        &self,
        ids: &DevelopmentIds,
        target: SocketAddr,
        root_pem: &str,
    ) -> anyhow::Result<()> {
        let zone = Spec::Zone(v1::ZoneSpec { audience: ids.gateway.to_string() });
        self.apply("Zone", ZONE, zone).await?;
        self.apply("Target", TARGET, shop(ids, target, root_pem)?).await?;
        for (name, column, detector) in CLASSES {
            self.apply("DataClass", name, class(column, detector)).await?;
        }
        for name in AGENTS {
            let agent = ids.agents.get(name).context("an agent of the story is unknown to Entra")?;
            let owner = ids.users.get(WRITERS_OWNER).filter(|_| name == "writer");
            let spec = Spec::Agent(v1::AgentSpec {
                tenant_id: ids.tenant.to_string(),
                object_id: agent.object_id.to_string(),
                app_id: agent.client_id.to_string(),
                description: format!("the {name} of the story"),
                owners: owner.map(ToString::to_string).into_iter().collect(),
            });
            self.apply("Agent", name, spec).await?;
        }
        let policies = Spec::PolicyBundle(v1::PolicyBundleSpec { policies: POLICIES.to_owned() });
        self.apply("PolicyBundle", TARGET, policies).await
    }

    /// A join token for one edge of the zone.
    pub(crate) async fn join_token(&self) -> anyhow::Result<String> {
        let request = v1::CreateJoinTokenRequest { zone: ZONE.to_owned(), ttl: None };
        let mut client = EdgeAdminServiceClient::new(self.channel.clone());
        let response = client.create_join_token(self.authorized(request)).await;
        Ok(response.context("no join token was made")?.into_inner().join_token)
    }

    async fn apply(&self, kind: &str, name: &str, spec: Spec) -> anyhow::Result<()> {
        let resource =
            v1::Resource { kind: kind.to_owned(), name: name.to_owned(), spec: Some(spec), version: 0 };
        let request = v1::ApplyRequest { resource: Some(resource), dry_run: false };
        let mut client = ResourceServiceClient::new(self.channel.clone());
        let applied = client.apply(self.authorized(request)).await;
        applied.with_context(|| format!("{kind} {name} was not taken"))?;
        Ok(())
    }

    fn authorized<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.authorization.clone());
        request
    }
}

fn class(column: Option<&str>, detector: v1::Detector) -> Spec {
    let tagged = |column: &str| v1::TaggedColumn {
        target: TARGET.to_owned(),
        schema: "public".to_owned(),
        relation: "customers".to_owned(),
        column: column.to_owned(),
    };
    Spec::DataClass(v1::DataClassSpec {
        columns: column.map(tagged).into_iter().collect(),
        detectors: vec![detector.into()],
        ..v1::DataClassSpec::default()
    })
}

fn shop(ids: &DevelopmentIds, target: SocketAddr, root_pem: &str) -> anyhow::Result<Spec> {
    let identity = |name: &str, login_role: &str| {
        let app = ids.identities.get(&format!("{TARGET}-{name}"));
        let app = app.context("an identity of the target is unknown to Entra")?;
        anyhow::Ok(v1::IdentitySpec {
            client_id: app.client_id.to_string(),
            login_role: login_role.to_owned(),
            ..v1::IdentitySpec::default()
        })
    };
    Ok(Spec::Target(v1::TargetSpec {
        zone: ZONE.to_owned(),
        postgres: Some(v1::PostgresSpec {
            host: "localhost".to_owned(),
            port: target.port().into(),
            database: postgres::DATABASE.to_owned(),
            ca_pem: root_pem.to_owned(),
            search_path: String::new(),
        }),
        standing: Some(identity("standing", "shop_standing")?),
        metadata: Some(identity("metadata", "shop_metadata")?),
        approved: Some(identity("approved", "shop_approved")?),
        ..v1::TargetSpec::default()
    }))
}
