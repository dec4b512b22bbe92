//! `tr-net`: the reference server of the tr network, its terminals and tools.

use std::process::ExitCode;

use clap::Parser;
use tr_net::cli::{Cli, LogFormat};
use tr_net::{commands, logging, ui};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = match cli.log_format {
        LogFormat::Text => logging::LogFormat::Human,
        LogFormat::Json => logging::LogFormat::Json,
    };
    let ran = logging::init(format, Some(&cli.log))
        .map_err(anyhow::Error::from)
        .and_then(|()| {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let code = runtime.block_on(commands::run(cli.command));
            // A prompt or a blocked thread must not keep an ended program alive.
            runtime.shutdown_background();
            code
        });
    match ran {
        Ok(code) => code,
        Err(error) => {
            anstream::eprintln!("tr-net: {}", ui::one_line(&error));
            ExitCode::FAILURE
        }
    }
}
