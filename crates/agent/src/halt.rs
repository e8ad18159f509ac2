//! Stopping everything of an installation in order, as a shutdown of the machine would.
//!
//! Desired state is not touched: the next start of the agent brings all of it back, as after a
//! reboot. Apps are drained and stopped side by side, then the proxy leaves, then the shims end.
//! The agent itself and its shim are ended by whoever asked for this. Where something of it fails,
//! all is brought up again.

use api::Halted;
use deploy::DeployError;
use deploy::executor::{self, proxy_service};
use deploy::records::AppRecord;
use report::{Failure, Kind};
use tokio::task::JoinSet;

use crate::state::{Agent, Concern};
use crate::{order, proxy};

impl Agent {
    /// Stops every slot of every app, the proxy and all shims but the agent's own. From then on this
    /// agent begins nothing any more; what waits is begun by the next one.
    pub(crate) async fn halt(&self) -> Result<Halted, Failure> {
        // What began meanwhile would come back behind our back.
        self.inner.registry.close().await.map_err(|going_on| {
            Failure::new(Kind::Locked, going_on)
                .hint("wait for its end, or cancel it with Ctrl-C where it was started")
        })?;
        let halted = self.halt_all().await;
        if halted.is_err() {
            // What was drained, stopped and closed already is wanted as before. Problems are tried
            // again by whom they belong to.
            let text = "the proxy was being stopped, which failed".to_owned();
            self.problem(Concern::Proxy, Some(text));
            for app in self.inner.registry.open() {
                self.next(&app);
                let text = "it was being stopped with everything else, which failed";
                order::failed(self, &app, Failure::new(Kind::Failed, text).into());
            }
        }
        halted
    }

    async fn halt_all(&self) -> Result<Halted, Failure> {
        let apps = self.node().journal().apps()?;
        let mut stops = JoinSet::new();
        let names: Vec<String> = apps.iter().map(|app| app.name.clone()).collect();
        for app in apps {
            let agent = self.clone();
            stops.spawn(async move { agent.halt_app(&app).await });
        }
        while let Some(stopped) = stops.join_next().await {
            stopped.map_err(|error| Failure::from_error(Kind::Internal, &error))??;
        }
        let node = self.node();
        let edge = AppRecord { name: proxy_service().app().to_owned(), ..AppRecord::default() };
        let listeners: Vec<String> =
            node.supervisor.service(&proxy_service()).view().listeners.into_keys().collect();
        for listener in listeners {
            executor::close_listener(node, &listener).await;
        }
        executor::remove_unclaimed(node, &edge).await?;
        executor::end_shims(node, proxy_service().app()).await?;
        Ok(Halted { apps: names })
    }

    async fn halt_app(&self, app: &AppRecord) -> Result<(), DeployError> {
        let node = self.node();
        let withdrawn = node.router.set_app(&app.name, routing::Section::default()).await;
        if let Err(error) = withdrawn {
            // Where none lives nobody routes; one that cannot be told so does, and is stopped too.
            if proxy::can_be_told(&node.home, &node.supervisor.service(&proxy_service()).view()) {
                return Err(error.into());
            }
        }
        let endpoints = self.inner.readiness.of_app(&app.name);
        self.inner.readiness.forget(&endpoints);
        let limit = executor::drain_limit_of(node, app)?;
        let progress = tokio::sync::watch::Sender::new(Vec::new());
        node.router.drain(endpoints, limit, progress).await?;
        let nothing = AppRecord { name: app.name.clone(), ..AppRecord::default() };
        executor::remove_unclaimed(node, &nothing).await?;
        executor::end_shims(node, &app.name).await
    }
}
