//! How a command ends: the exit codes that scripts rely on, and the errors that lead to them.

use std::{error::Error, io, process::ExitCode};

use tonic::{Code, Status};

use crate::escape::escaped;

/// What the exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: it failed, or `diff` found a difference.
    Failed,
    /// 2: the command line or its settings make no sense.
    Usage,
    /// 3: the control plane does not know the caller, or does not let it.
    Denied,
    /// 4: it took too long, or what was revoked is not known to be cut yet.
    TimedOut,
    /// 5: a recording does not verify.
    NotVerified,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked. Its text is for people and is fit for a terminal.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    exit: Exit,
    message: String,
    code: Option<Code>,
}

impl Failure {
    /// The command line, an environment variable or an input file is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), code: None }
    }

    /// Anything that has no exit code of its own.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into(), code: None }
    }

    /// It took longer than we wait.
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self { exit: Exit::TimedOut, message: message.into(), code: None }
    }

    /// The reader of our stdout has gone: nothing to report, and nobody to report to.
    pub fn from_stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::failed(""),
            _ => Self::failed(format!("cannot write to stdout: {error}")),
        }
    }

    /// A file could not be read or written.
    pub fn from_file(what: &str, path: &std::path::Path, error: &io::Error) -> Self {
        Self::failed(format!("cannot {what} {}: {error}", escaped(&path.display().to_string())))
    }

    /// The exit code that this failure ends in.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// The code with which the control plane answered, if it did.
    pub fn code(&self) -> Option<Code> {
        self.code
    }

    /// Nothing is worth saying about it: the reader of our stdout has gone.
    pub fn is_silent(&self) -> bool {
        self.message.is_empty()
    }

    /// The same failure with what it is about before it.
    #[must_use]
    pub fn about(self, subject: &str) -> Self {
        Self { message: format!("{subject}: {}", self.message), ..self }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let exit = match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => Exit::Denied,
            Code::DeadlineExceeded => Exit::TimedOut,
            _ => Exit::Failed,
        };
        let said = match status.message() {
            "" => status.code().description().to_owned(),
            message => escaped(message),
        };
        Self { exit, message: format!("{said} [{:?}]", status.code()), code: Some(status.code()) }
    }
}

impl From<tonic::transport::Error> for Failure {
    fn from(error: tonic::transport::Error) -> Self {
        let chain = causes(&error);
        let exit = if is_timeout(&error) { Exit::TimedOut } else { Exit::Failed };
        Self { exit, message: format!("cannot reach the control plane: {}", escaped(&chain)), code: None }
    }
}

/// All causes of an error in one line; transport errors say nothing useful at their top.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in std::iter::successors(Some(error), |error| (*error).source()) {
        let text = cause.to_string();
        if said.last() != Some(&text) {
            said.push(text);
        }
    }
    said.join(": ")
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source())
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        let codes = [Exit::Done, Exit::Failed, Exit::Usage, Exit::Denied, Exit::TimedOut, Exit::NotVerified];
        assert_eq!(codes.map(|exit| exit as u8), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn statuses_map_to_exit_codes() {
        let exit = |code| Failure::from(Status::new(code, "no")).exit();
        assert_eq!(exit(Code::Unauthenticated), Exit::Denied);
        assert_eq!(exit(Code::PermissionDenied), Exit::Denied);
        assert_eq!(exit(Code::DeadlineExceeded), Exit::TimedOut);
        for code in
            [Code::NotFound, Code::InvalidArgument, Code::Unavailable, Code::Internal, Code::Cancelled]
        {
            assert_eq!(exit(code), Exit::Failed, "{code:?}");
        }
    }

    #[test]
    fn a_message_of_the_server_cannot_drive_the_terminal() {
        let failure = Failure::from(Status::not_found("no \u{1b}[2Jtarget"));
        assert_eq!(failure.to_string(), "no \\u{1b}[2Jtarget [NotFound]");
        assert!(!Failure::from(Status::internal("")).to_string().starts_with(' '));
    }

    #[test]
    fn a_closed_pipe_is_no_message() {
        assert!(Failure::from_stdout(&io::ErrorKind::BrokenPipe.into()).is_silent());
        assert!(!Failure::from_stdout(&io::ErrorKind::StorageFull.into()).is_silent());
    }
}
