//! Documents for the tests of the decoder.

pub(crate) mod documents;
pub(crate) mod encode;
