//! Generations and ports for new slots: from the node, or for a plan that nobody carries out.

use report::{Failure, Kind};

use crate::error::DeployError;
use crate::node::Node;
use crate::plan::Allocate;

/// Ports that slots bind by themselves: outside the ephemeral range of Linux (32768–60999), so
/// that no outgoing connection takes one between two starts.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// Gives out generations from the store and ports that nobody has.
pub(super) struct FromNode<'a> {
    node: &'a Node,
    taken: Vec<u16>,
}

impl<'a> FromNode<'a> {
    pub(super) fn new(node: &'a Node) -> Result<Self, DeployError> {
        let mut taken = Vec::new();
        for app in node.journal().apps()? {
            let deploy = node.journal().deploy(&app.name)?;
            let stages = deploy.iter().flat_map(|deploy| &deploy.stages);
            for serving in app.serving.iter().chain(stages) {
                let slots = serving.services.values().flat_map(|placement| &placement.slots);
                taken.extend(slots.filter_map(|(_, slot)| slot.port));
            }
        }
        Ok(Self { node, taken })
    }
}

/// Returns where the search for port number `count` of an installation begins: all ports in turn,
/// in an order of its own. Between the search and the process that binds the port nobody holds it,
/// so two installations of one machine must not try the same ones at the same time.
fn first_port(installation: &str, count: u64) -> u16 {
    let range = u64::from(PORTS.end - PORTS.start);
    let id = u64::from_str_radix(installation, 16).unwrap_or_default();
    // Without a common divisor with the range, so that every port has its turn.
    let step = (1..range).map(|more| id % range + more).find(|step| gcd(*step, range) == 1);
    let place = (id / range % range + count % range * step.unwrap_or(1)) % range;
    PORTS.start + place as u16
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Allocate for FromNode<'_> {
    type Error = DeployError;

    fn generation(&mut self) -> Result<u64, DeployError> {
        self.node.journal().count("generation")
    }

    fn port(&mut self) -> Result<u16, DeployError> {
        // Each search begins where a counter says, so that a port rests before it is used again:
        // connections of its last owner may still be ending.
        let count = self.node.journal().count("port")?;
        let start = first_port(&self.node.installation, count);
        let free = |port: &u16| {
            !self.taken.contains(port) && std::net::TcpListener::bind(("0.0.0.0", *port)).is_ok()
        };
        let found = (start..PORTS.end).chain(PORTS.start..start).find(free);
        let port = found.ok_or_else(|| {
            let text = format!("no port between {} and {} is free", PORTS.start, PORTS.end);
            DeployError::from(Failure::new(Kind::Temporary, text))
        })?;
        self.taken.push(port);
        Ok(port)
    }
}

/// Gives out what no slot has and no slot gets: a plan is looked at, and takes nothing.
#[derive(Debug, Default)]
pub(super) struct Imagined {
    given: u64,
}

impl Allocate for Imagined {
    type Error = DeployError;

    fn generation(&mut self) -> Result<u64, DeployError> {
        // Real ones are counted from the other end.
        self.given += 1;
        Ok(u64::MAX - self.given)
    }

    fn port(&mut self) -> Result<u16, DeployError> {
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_port_has_its_turn_in_an_order_of_the_installation() {
        let count = u64::from(PORTS.end - PORTS.start);
        for installation in ["39f39cbc539f", "000000000000", "ffffffffffff", "?"] {
            let all: BTreeSet<u16> = (1..=count).map(|n| first_port(installation, n)).collect();
            assert_eq!(all.len() as u64, count, "{installation}");
            assert!(all.iter().all(|port| PORTS.contains(port)));
        }
        let first = |installation| (1..=20).map(|n| first_port(installation, n)).collect();
        let (one, other): (BTreeSet<u16>, BTreeSet<u16>) =
            (first("39f39cbc539f"), first("3ae2cb74613b"));
        assert!(one.intersection(&other).count() < 3, "{one:?} {other:?}");
    }
}
