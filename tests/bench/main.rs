//! Figures, measured beside keepalived in one run: `make bench` prints them.

mod advertisements;
mod checks;
mod control;
mod load;
mod processor;
mod runs;
mod start;
mod verdicts;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use mainstay_lab::mainstay;
use mainstay_lab::skip::{Need, skip};

const USAGE: &str = "\
usage: mainstay-bench [WHAT [HOW MUCH]]
  checks [SECONDS]           what a check costs, beside keepalived; 30 a line
  runs [COUNT]               how long a run takes, how many there can be, whether memory grows; 300000
  start                      from the start to the first verdict, and the memory of both processes
  advertisements [SECONDS]   whether any is late while plugins take all they can; 600
Without arguments all of it is measured, advertisements for 60 s only.";

fn main() -> ExitCode {
    let needs = [
        Need::Root,
        Need::Executable("ip"),
        Need::Executable("keepalived"),
        Need::Executable("nginx"),
        Need::Executable("pgrep"),
        Need::File(mainstay::misbehaving()),
    ];
    if skip("bench", &needs) {
        return ExitCode::from(69);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (what, number) = match words.as_slice() {
        [] => ("all", None),
        [what] => (*what, None),
        [what, number] => {
            let number: u32 = number.parse().with_context(|| USAGE)?;
            (*what, Some(number))
        }
        _ => anyhow::bail!(USAGE),
    };
    let seconds = |default: u32| Duration::from_secs(number.unwrap_or(default).max(1).into());
    match what {
        "checks" => checks::compare(seconds(30)),
        "runs" => runs::measure(number.unwrap_or(300_000)),
        "start" => start::measure(),
        "advertisements" => advertisements::measure(seconds(600)),
        "all" => {
            checks::compare(seconds(30))?;
            println!();
            runs::measure(300_000)?;
            println!();
            start::measure()?;
            println!();
            advertisements::measure(seconds(60))
        }
        _ => anyhow::bail!(USAGE),
    }
}
