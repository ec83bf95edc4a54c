//! Token files of the people of the story, kept fresh: Entra's tokens end after an hour or so.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use countersign_entra_emulator::{Running, TokenKind, TokenRequest, development::DevelopmentIds};
use tracing::warn;

/// Well within the shortest life of a token.
const REFRESH: Duration = Duration::from_secs(20 * 60);

/// The approvers of the story.
const APPROVERS: [&str; 2] = ["dana", "omar"];

/// Where the tokens are.
pub(crate) struct TokenFiles {
    folder: PathBuf,
    emulator: Arc<Running>,
    ids: Arc<DevelopmentIds>,
}

impl TokenFiles {
    pub(crate) fn write(
        folder: PathBuf,
        emulator: Arc<Running>,
        ids: Arc<DevelopmentIds>,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder)?;
        let files = Self { folder, emulator, ids };
        files.refresh()?;
        Ok(files)
    }

    pub(crate) fn admin(&self) -> PathBuf {
        self.folder.join("admin")
    }

    pub(crate) fn approvers(&self) -> BTreeMap<&'static str, PathBuf> {
        APPROVERS.into_iter().map(|name| (name, self.folder.join(name))).collect()
    }

    /// A token of the admin.
    pub(crate) fn admin_token(&self) -> anyhow::Result<String> {
        self.token("admin")
    }

    /// Writes them anew again and again.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        loop {
            tokio::time::sleep(REFRESH).await;
            if let Err(error) = self.refresh() {
                warn!(%error, "the token files could not be written anew");
            }
        }
    }

    fn refresh(&self) -> anyhow::Result<()> {
        for name in ["admin"].into_iter().chain(APPROVERS) {
            replace(&self.folder.join(name), &self.token(name)?)?;
        }
        Ok(())
    }

    fn token(&self, user: &str) -> anyhow::Result<String> {
        let request = TokenRequest::new(TokenKind::User, user, self.ids.admin.to_string());
        Ok(self.emulator.issue(&request)?)
    }
}

/// Whole or not at all, and readable by its owner alone.
fn replace(path: &Path, token: &str) -> anyhow::Result<()> {
    let unfinished = path.with_extension("new");
    let _ = fs::remove_file(&unfinished);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(token.as_bytes())?;
    fs::rename(&unfinished, path)?;
    Ok(())
}
