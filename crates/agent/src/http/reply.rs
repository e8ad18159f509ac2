//! Failures as HTTP answers.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use report::{Failure, Kind};

/// What a handler returns.
pub(super) type Reply<T> = Result<Json<T>, Failed>;

/// A failure on its way to the client.
#[derive(Debug)]
pub(super) struct Failed(pub(super) Failure);

impl<E: Into<Failure>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = match self.0.kind {
            Kind::Usage => StatusCode::BAD_REQUEST,
            Kind::Permission => StatusCode::FORBIDDEN,
            Kind::Exists | Kind::Locked | Kind::Interrupted => StatusCode::CONFLICT,
            Kind::Unavailable | Kind::Temporary => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Failed | Kind::Partial | Kind::Leftovers | Kind::Internal => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        (status, Json(self.0)).into_response()
    }
}
