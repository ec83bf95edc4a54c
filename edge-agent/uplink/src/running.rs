//! The uplink as a whole: what it starts, and the ports that it offers to the gate.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use countersign_gate::ports::Ports;
use countersign_spool::{Boot, Limits, Opened, Spool, SpoolError};
use ed25519_dalek::SigningKey;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep},
};
use tracing::info;
use zeroize::Zeroizing;

use crate::{
    ControlPlane, InForce, Membership, approvals, attach, authority,
    channel::Link,
    enrol,
    outcomes::Outcomes,
    recorder::{self, SpoolRecorder},
    revocations::Sessions,
    upload::Uploader,
};

/// What an uplink is started with.
#[derive(Debug)]
pub struct Settings {
    /// `https://host:port` of the control plane's edge listener.
    pub url: String,
    /// Who this edge is.
    pub membership: Arc<Membership>,
    /// Where the membership is kept, for when its certificate is renewed.
    pub membership_file: PathBuf,
    /// Folder of the spool.
    pub spool_dir: PathBuf,
    /// Bytes that the spool never passes.
    pub spool_max_bytes: u64,
}

/// Why there is no uplink.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    /// The URL or the membership's certificates cannot be used.
    #[error("the control plane's URL or a certificate cannot be used: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The spool cannot be opened.
    #[error("the spool cannot be opened: {0}")]
    Spool(#[from] SpoolError),
    /// The operating system gave no random bytes.
    #[error("there is no randomness to be had")]
    Randomness,
}

/// The gate's ports, and the tasks behind them.
pub struct Uplink {
    control_plane: ControlPlane,
    in_force: Arc<InForce>,
    recorder: SpoolRecorder,
    spool: Spool,
    pending: Arc<AtomicUsize>,
}

impl Uplink {
    /// Opens the spool and starts the tasks, which run until the set is dropped. Blocks for the disk for a moment.
    ///
    /// # Errors
    /// [`UplinkError`]; then nothing runs.
    pub fn start(settings: Settings) -> Result<(Arc<Self>, JoinSet<()>), UplinkError> {
        let Settings { url, membership, membership_file, spool_dir, spool_max_bytes } = settings;
        let (boot_id, key) = (random::<16>()?, SigningKey::from_bytes(&*random::<32>()?));
        let recording_key = key.verifying_key().to_bytes();
        let boot = Boot { edge: membership.edge.clone(), boot_id: *boot_id, key };
        let limits =
            Limits { low: spool_max_bytes / 2, full: spool_max_bytes / 16 * 15, hard: spool_max_bytes };
        let config = countersign_spool::Config { dir: spool_dir, limits, boot, clock: SystemTime::now };
        let Opened { spool, planned, finished, recovered } = Spool::open(config)?;
        info!(?recovered, "spool opened");

        let link = Link::new(&url, &membership)?;
        let in_force = Arc::new(InForce::default());
        let (sessions, outcomes) = (Arc::<Sessions>::default(), Arc::<Outcomes>::default());
        let (closed, to_report) = mpsc::unbounded_channel();
        let (withdrawn, to_cancel) = mpsc::unbounded_channel();
        let pending = Arc::<AtomicUsize>::default();
        let mut tasks = JoinSet::new();
        let edge = attach::Edge {
            membership: membership.clone(),
            boot_id: *boot_id,
            recording_key,
            in_force: in_force.clone(),
            sessions: sessions.clone(),
            outcomes: outcomes.clone(),
            spool: spool.clone(),
        };
        tasks.spawn(attach::stay_attached(link.clone(), edge));
        tasks.spawn(authority::report_closed(link.clone(), to_report));
        tasks.spawn(approvals::report_withdrawn(link.clone(), to_cancel));
        tasks.spawn(Uploader::new(link.clone(), spool.clone(), planned, finished, pending.clone()).run());
        tasks.spawn(enrol::keep_renewed(link.clone(), url, membership.clone(), membership_file));
        let name = membership.edge.clone();
        let recorder = SpoolRecorder::new(spool.clone(), name, in_force.clone(), sessions.clone());
        tasks.spawn(recorder::rotate_aged(recorder.live()));
        let boot_id = *boot_id;
        let control_plane =
            ControlPlane { link, boot_id, in_force: in_force.clone(), sessions, outcomes, closed, withdrawn };
        let uplink = Self { control_plane, recorder, in_force, spool, pending };
        Ok((Arc::new(uplink), tasks))
    }

    /// What is in force at this edge.
    pub fn in_force(&self) -> &Arc<InForce> {
        &self.in_force
    }

    /// Waits until every finished segment is archived; false if it is not within `limit`.
    pub async fn uploaded(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        self.spool.settled().await;
        loop {
            if self.pending.load(Ordering::Acquire) == 0 && self.spool.used() == 0 {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Ports for Uplink {
    type Authority = ControlPlane;
    type Approvals = ControlPlane;
    type Decider = InForce;
    type Recorder = SpoolRecorder;

    fn authority(&self) -> &ControlPlane {
        &self.control_plane
    }

    fn approvals(&self) -> &ControlPlane {
        &self.control_plane
    }

    fn decider(&self) -> &InForce {
        &self.in_force
    }

    fn recorder(&self) -> &SpoolRecorder {
        &self.recorder
    }
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, UplinkError> {
    let mut bytes = Zeroizing::new([0; N]);
    aws_lc_rs::rand::fill(&mut *bytes).map_err(|_| UplinkError::Randomness)?;
    Ok(bytes)
}
