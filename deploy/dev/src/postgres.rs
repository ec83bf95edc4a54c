//! The PostgreSQL of the story: the distribution's own server, in the foreground, with data of its own.
//!
//! Its only way in over the network is an Entra token, which it has an LDAP bind at the emulator's verifier judge.
//! Its owner comes in by Unix socket, as the operating system's user that runs this process. No password exists.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use countersign_pki::ServerCertificate;
use nix::unistd::{Uid, User};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};
use tracing::info;

/// Role that owns the story's database.
pub(crate) const OWNER: &str = "shop_owner";
/// Database of the story.
pub(crate) const DATABASE: &str = "shop";
/// Role of the reader alone, for targets that log each agent in as itself.
pub(crate) const READER_OWN: &str = "shop_reader_own";
/// Roles that tokens may log in as.
const LOGINS: [&str; 4] = ["shop_standing", "shop_metadata", "shop_approved", READER_OWN];

/// A running server; killed when dropped, stopped in order by [`Postgres::stop`].
pub(crate) struct Postgres {
    child: Child,
    binaries: PathBuf,
    run_as: Option<User>,
    /// TCP, TLS only.
    pub(crate) address: SocketAddr,
    socket_dir: SocketDir,
}

/// Where the server's socket is: beside its cluster, or where that would be too long a path, in a folder of its own.
enum SocketDir {
    Beside(PathBuf),
    Apart(tempfile::TempDir),
}

impl SocketDir {
    /// The system takes 107 bytes for the path of a socket; its name takes `/.s.PGSQL.65535.lock`.
    const LONGEST: usize = 107 - 20;

    fn new(folder: &Path) -> io::Result<Self> {
        let beside = folder.join("socket");
        if beside.as_os_str().len() > Self::LONGEST {
            return tempfile::Builder::new().prefix("countersign-").tempdir_in("/tmp").map(Self::Apart);
        }
        fs::create_dir_all(&beside)?;
        Ok(Self::Beside(beside))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Beside(path) => path,
            Self::Apart(folder) => folder.path(),
        }
    }
}

/// What the server is set up with.
pub(crate) struct Setup<'a> {
    /// Holds the cluster; made if it is not there.
    pub(crate) folder: &'a Path,
    /// Its TLS certificate, leaf first, and key.
    pub(crate) certificate: &'a ServerCertificate,
    /// The emulator's verifier.
    pub(crate) ldap: SocketAddr,
}

impl Postgres {
    /// Starts the server and waits until it answers.
    ///
    /// Must be called from a thread that lives as long as the process: the kernel kills the server when it ends.
    pub(crate) async fn start(setup: Setup<'_>) -> anyhow::Result<Self> {
        let binaries = binaries()?;
        let run_as = unprivileged()?;
        let folder = reachable_folder(setup.folder, run_as.as_ref())?;
        let cluster = folder.join("cluster");
        if !cluster.join("PG_VERSION").exists() {
            initialise(&binaries, &cluster, run_as.as_ref()).await?;
        }
        let socket_dir = SocketDir::new(&folder)?;
        fs::set_permissions(socket_dir.path(), fs::Permissions::from_mode(0o755))?;
        give(socket_dir.path(), run_as.as_ref())?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        configure(&cluster, &setup, address, socket_dir.path(), run_as.as_ref())?;
        let child = spawn(&binaries, &cluster, setup.folder, run_as.as_ref())?;
        let mut server = Self { child, binaries, run_as, address, socket_dir };
        server.ready(setup.folder, &cluster).await?;
        info!(%address, "PostgreSQL answers");
        Ok(server)
    }

    /// Past the edge, as `role`, by Unix socket and without a password.
    pub(crate) fn direct_dsn(&self, role: &str, database: &str) -> String {
        let socket_dir = self.socket_dir.path().display();
        let port = self.address.port();
        format!("postgresql:///{database}?host={socket_dir}&port={port}&user={role}")
    }

    /// Runs SQL as `role`; the first error ends it.
    pub(crate) async fn run(&self, role: &str, database: &str, sql: &str) -> anyhow::Result<String> {
        let output = Command::new("psql")
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1"])
            .args(["-d", &self.direct_dsn(role, database), "-c", sql])
            .stdin(Stdio::null())
            .output()
            .await
            .context("psql could not be started")?;
        ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Ends sessions and the server, within seconds.
    pub(crate) async fn stop(mut self) {
        let signalled = match self.child.id() {
            // SIGINT is PostgreSQL's fast shutdown: sessions are ended, nothing is lost.
            Some(id) => command(Path::new("/bin/kill"), self.run_as.as_ref())
                .args(["-INT", &id.to_string()])
                .status()
                .await
                .is_ok_and(|status| status.success()),
            None => false,
        };
        if !signalled || tokio::time::timeout(Duration::from_secs(10), self.child.wait()).await.is_err() {
            // Already gone, or stuck: either way nothing is left to wait for.
            let _ = self.child.kill().await;
        }
    }

    async fn ready(&mut self, folder: &Path, cluster: &Path) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(folder.join("postgres.log")).unwrap_or_default();
                // After a kill the last server's processes take a moment to notice that their parent is gone.
                let lingers = log.contains("is still in use") || log.contains("already exists");
                ensure!(
                    lingers && Instant::now() < until,
                    "PostgreSQL ended at its start ({status}):\n{log}"
                );
                sleep(Duration::from_millis(500)).await;
                self.child = spawn(&self.binaries, cluster, folder, self.run_as.as_ref())?;
            }
            let answers = Command::new(self.binaries.join("pg_isready"))
                .args(["-q", "-h", &self.socket_dir.path().to_string_lossy()])
                .args(["-p", &self.address.port().to_string()])
                .status()
                .await?;
            if answers.success() {
                return Ok(());
            }
            ensure!(Instant::now() < until, "PostgreSQL did not answer within a minute");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Makes roles, database and tables, as far as they are not there.
pub(crate) async fn prepare(server: &Postgres) -> anyhow::Result<()> {
    for role in [OWNER].into_iter().chain(LOGINS) {
        let there = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{role}'");
        if server.run("postgres", "postgres", &there).await? == "0" {
            server.run("postgres", "postgres", &format!("CREATE ROLE {role} LOGIN")).await?;
        }
    }
    let there = format!("SELECT count(*) FROM pg_database WHERE datname = '{DATABASE}'");
    if server.run("postgres", "postgres", &there).await? == "0" {
        server.run("postgres", "postgres", &format!("CREATE DATABASE {DATABASE} OWNER {OWNER}")).await?;
    }
    // No temporary tables, and nobody in but those who are named.
    let rights = format!(
        "REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC; \
         GRANT CONNECT ON DATABASE {DATABASE} TO {}",
        LOGINS.join(", ")
    );
    server.run("postgres", "postgres", &rights).await?;
    server.run(OWNER, DATABASE, include_str!("shop.sql")).await?;
    Ok(())
}

/// The newest installed server's programs.
fn binaries() -> anyhow::Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, binaries): &(u32, PathBuf)| binaries.join("postgres").exists())
        .collect();
    found.sort();
    let newest = found.pop().map(|(_, binaries)| binaries);
    newest.context("PostgreSQL's server is not installed: run deploy/prerequisites")
}

/// The user to run as, where this process is root: PostgreSQL refuses to run as root.
fn unprivileged() -> anyhow::Result<Option<User>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let user = User::from_name("postgres")?.context("there is no user postgres: run deploy/prerequisites")?;
    Ok(Some(user))
}

/// The folder itself, or one beside it in `/var/tmp` where the server's user cannot reach the folder.
fn reachable_folder(folder: &Path, run_as: Option<&User>) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let Some(user) = run_as else { return Ok(folder.to_owned()) };
    chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    let canonical = folder.canonicalize()?;
    let reachable = canonical.ancestors().skip(1).all(|ancestor| {
        fs::metadata(ancestor).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
    });
    if reachable {
        return Ok(canonical);
    }
    let name: String = canonical.to_string_lossy().chars().map(|c| if c == '/' { '-' } else { c }).collect();
    let elsewhere = Path::new("/var/tmp").join(format!("countersign-dev{name}"));
    fs::create_dir_all(&elsewhere)?;
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700))?;
    give(&elsewhere, run_as)?;
    Ok(elsewhere)
}

fn spawn(binaries: &Path, cluster: &Path, folder: &Path, run_as: Option<&User>) -> anyhow::Result<Child> {
    command(&binaries.join("postgres"), run_as)
        .arg("-D")
        .arg(cluster)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("postgres.log"))?)
        .kill_on_drop(true)
        .spawn()
        .context("PostgreSQL could not be started")
}

async fn initialise(binaries: &Path, cluster: &Path, run_as: Option<&User>) -> anyhow::Result<()> {
    let output = command(&binaries.join("initdb"), run_as)
        .args(["--username=postgres", "--auth=reject", "--encoding=UTF8", "--locale=C", "--no-instructions"])
        .arg("-D")
        .arg(cluster)
        .stdin(Stdio::null())
        .output()
        .await
        .context("initdb could not be started")?;
    ensure!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

fn configure(
    cluster: &Path,
    setup: &Setup<'_>,
    address: SocketAddr,
    socket_dir: &Path,
    run_as: Option<&User>,
) -> anyhow::Result<()> {
    let os_user = User::from_uid(Uid::effective())?.context("this process's user has no name")?.name;
    let settings = format!(
        "listen_addresses = '{}'\nport = {}\nunix_socket_directories = '{}'\n\
         ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server-key.pem'\n\
         max_connections = 200\nfsync = on\nlog_connections = off\nlog_min_messages = warning\n\
         log_min_error_statement = panic\nlog_statement = none\n",
        address.ip(),
        address.port(),
        socket_dir.display(),
    );
    // Only TLS, only loopback, only what the verifier accepts; everything else meets `reject`.
    let hba = format!(
        "local all all peer map=owner\n\
         hostssl all all 127.0.0.1/32 ldap ldapserver={} ldapport={} ldapprefix=\"cn=\" ldapsuffix=\",ou=postgres\"\n\
         host all all all reject\n",
        setup.ldap.ip(),
        setup.ldap.port(),
    );
    let ident = format!("owner {os_user} postgres\nowner {os_user} {OWNER}\n");
    let file = |name: &str, content: &str, mode: u32| -> io::Result<()> {
        let path = cluster.join(name);
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        give(&path, run_as)
    };
    file("postgresql.conf", &settings, 0o600)?;
    file("pg_hba.conf", &hba, 0o600)?;
    file("pg_ident.conf", &ident, 0o600)?;
    file("server.pem", &crate::pem::chain(setup.certificate), 0o600)?;
    file("server-key.pem", &crate::pem::key(setup.certificate), 0o600)?;
    Ok(())
}

fn give(path: &Path, to: Option<&User>) -> io::Result<()> {
    match to {
        Some(user) => chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())),
        None => Ok(()),
    }
}

/// A command that dies with this process, as the server's user.
fn command(program: &Path, run_as: Option<&User>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if let Some(user) = run_as {
        command
            .args([&format!("--reuid={}", user.uid), &format!("--regid={}", user.gid)])
            .arg("--clear-groups");
    }
    command.arg(program).current_dir("/");
    command
}

/// A port that was free a moment ago.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
