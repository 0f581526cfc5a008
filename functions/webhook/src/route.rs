//! The paths of the API.

use lambda_http::http::Method;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// `GET /v1/health`
    Health,
    /// `POST /v1/events/{dataset}`
    Events {
        /// The dataset that the path names; it may not exist.
        dataset: &'a str,
    },
    /// The path has another method.
    MethodNotAllowed {
        /// The method that it has.
        allowed: &'static str,
    },
    /// The path does not exist.
    NotFound,
}

impl<'a> Route<'a> {
    /// Returns the route of a method and a path (without the stage of the API).
    pub(crate) fn new(method: &Method, path: &'a str) -> Self {
        let (route, allowed) = match path.strip_prefix("/v1/") {
            Some("health") => (Self::Health, Method::GET),
            Some(path) => match path.strip_prefix("events/") {
                Some(dataset) => (Self::Events { dataset }, Method::POST),
                None => return Self::NotFound,
            },
            None => return Self::NotFound,
        };
        if *method == allowed {
            route
        } else if allowed == Method::GET {
            Self::MethodNotAllowed { allowed: "GET" }
        } else {
            Self::MethodNotAllowed { allowed: "POST" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pairs_of_method_and_path_are_routes() {
        let events = Route::Events { dataset: "web_traffic" };
        assert_eq!(Route::new(&Method::POST, "/v1/events/web_traffic"), events);
        assert_eq!(Route::new(&Method::GET, "/v1/health"), Route::Health);
        assert_eq!(
            Route::new(&Method::GET, "/v1/events/web_traffic"),
            Route::MethodNotAllowed { allowed: "POST" }
        );
        assert_eq!(
            Route::new(&Method::POST, "/v1/health"),
            Route::MethodNotAllowed { allowed: "GET" }
        );
        for path in ["", "/", "/v1", "/v1/", "/v1/events", "/v2/health", "v1/health"] {
            assert_eq!(Route::new(&Method::GET, path), Route::NotFound, "{path}");
        }
    }
}
