//! Loads a ledger app that already runs, and prints the report.
//!
//! `cargo run -p testkit --example load -- 127.0.0.1:8000 [RATE [REQUESTS [LEDGER]]]`
#![allow(clippy::print_stdout, reason = "it is what an example does")]

use std::error::Error;
use std::path::Path;

use testkit::{Ledger, Load};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let address = arguments.first().ok_or("which address?")?.parse()?;
    let rate = arguments.get(1).map_or(Ok(100.0), |rate| rate.parse())?;
    let requests = arguments.get(2).map_or(Ok(1000), |count| count.parse())?;
    let report = Load::new(address).rate(rate).requests(requests).run();
    print!("{report}");
    if let Some(ledger) = arguments.get(3) {
        println!("{}", Ledger::read(Path::new(ledger)).verify([&report]));
    }
    Ok(())
}
