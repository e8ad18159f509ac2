//! The agent's side of proxies: one table, acknowledged by all of them.
//!
//! A [`Router`] owns the node's whole [`control::proxy::RouteTable`], made of one section an app.
//! Each change of a section is a new, higher revision, sent to every live proxy. What it promises:
//!
//! - No proxy is sent a table before [`Router::begin`]: each goes on with what it has.
//! - [`Router::set_app`] returns when every live proxy has the revision in force. A proxy that
//!   dies meanwhile is not waited for; one that is started meanwhile is. No proxy at all, or one
//!   that stays silent, is a failure and never taken for an acknowledgement.
//! - [`Router::drain`] returns when every live proxy has a revision without these endpoints and
//!   nothing in flight on them, or when the limit is over; then what is left is cut and listed.
//! - [`Router::serves`] returns when one proxy has the table in force and accepts on every listener,
//!   [`Router::leave`] has another one end: between the two, nobody is refused and nothing is cut.
//! - Revisions rise for ever: the upper half is the epoch, which the store raises at each start of
//!   the agent, the lower half counts within it.
//!
//! It is *not* concerned with starting proxies (they are slots of `skep/proxy`, see `supervise`)
//! nor with whether a slot is ready (see `deploy`).

mod link;
mod owner;
mod router;
mod section;
mod table;

pub use router::{Cut, DrainError, ProxyInstance, Router, RoutingError};
pub use section::Section;
