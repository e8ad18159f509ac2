//! One app's part of the table.

use control::proxy::{EndpointId, Route, Service};

/// The routes of one app and the services they lead to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// Its services with their endpoints.
    pub services: Vec<Service>,
    /// Its rules.
    pub routes: Vec<Route>,
}

impl Section {
    /// Marks a slot ready or not; returns whether that changed anything.
    pub fn set_ready(&mut self, endpoint: &EndpointId, ready: bool) -> bool {
        let mut changed = false;
        for service in self.services.iter_mut().filter(|service| service.name == endpoint.service) {
            for found in service.endpoints.iter_mut().filter(|found| found.slot == endpoint.slot) {
                changed |= found.ready != ready;
                found.ready = ready;
            }
        }
        changed
    }
}
