//! The signed message that the reference libraries of Standard Webhooks publish as their example.

/// The secret that signs the message.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// The message's id, in the header `webhook-id`.
pub const MESSAGE: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
/// When it was sent, in seconds since 1970, in the header `webhook-timestamp`.
pub const SECONDS: i64 = 1_614_265_330;
/// Its body.
pub const BODY: &[u8] = br#"{"test": 2432232314}"#;
/// Its signature, in the header `webhook-signature`.
pub const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
