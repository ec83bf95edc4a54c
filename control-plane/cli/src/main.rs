//! `countersign`, the command line of admins and approvers.

use std::process::ExitCode;

use rustls::crypto::aws_lc_rs;

fn main() -> ExitCode {
    // An error means that a provider is installed already, and nothing else in this process installs one.
    let _already_installed = aws_lc_rs::default_provider().install_default();
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(countersign_cli::run(std::env::args_os())),
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}
