//! How long a request is waited for that does not come.
//!
//! A message that has begun must go on, and not by a byte now and then: it holds memory. Between messages a client may think.
//! Only waiting counts, so that nobody pays for the time in which the server had no room.

use std::future::Future;
use std::time::Duration;

use airlane_model::{Error, Result, codes};
use tokio::time::{Instant, timeout};

/// How long clients may take to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Without a byte in the midst of a message, and for a request of one small message in all.
    pub in_message: Duration,
    /// Between the messages of a put.
    pub between_messages: Duration,
    /// How long one message may be slow.
    pub slow: Duration,
    /// What a message must bring in each second after that, counted from its beginning.
    pub bytes_per_second_min: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            in_message: Duration::from_secs(30),
            between_messages: Duration::from_secs(10 * 60),
            slow: Duration::from_secs(60),
            bytes_per_second_min: 16 << 10,
        }
    }
}

impl Patience {
    /// Waits for a request that is one small message.
    ///
    /// # Errors
    /// `request_stalled`, and those of the request.
    pub async fn for_request<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        within(self.in_message, "the request", request).await
    }

    /// Waits for a message that comes whole or not at all, of a put.
    ///
    /// # Errors
    /// `request_stalled`.
    pub async fn for_message<T>(&self, message: impl Future<Output = T>) -> Result<T> {
        within(self.between_messages, "the next message of the put", async { Ok(message.await) }).await
    }
}

/// How one put comes in.
#[derive(Debug)]
pub struct Pace {
    patience: Patience,
    /// The waiting for the present message since its first bytes, and what came meanwhile.
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// Of a put that begins.
    pub fn new(patience: Patience) -> Self {
        Self { patience, waited: Duration::ZERO, bytes: 0 }
    }

    /// Waits for the next bytes; `is_in_message` tells whether a message has begun and not ended.
    ///
    /// # Errors
    /// `request_stalled`, and those of `data`.
    pub async fn next<T: AsRef<[u8]>>(
        &mut self,
        is_in_message: bool,
        data: impl Future<Output = Result<Option<T>>>,
    ) -> Result<Option<T>> {
        let begun = Instant::now();
        let data = match is_in_message {
            true => within(self.patience.in_message, "the rest of a message of the put", data).await?,
            false => {
                (self.waited, self.bytes) = (Duration::ZERO, 0);
                within(self.patience.between_messages, "the next message of the put", data).await?
            }
        };
        if is_in_message {
            self.waited += begun.elapsed();
        }
        self.bytes += data.as_ref().map_or(0, |data| data.as_ref().len() as u64);
        let due = self.waited.as_millis() * u128::from(self.patience.bytes_per_second_min) / 1_000;
        if data.is_some() && self.waited > self.patience.slow && u128::from(self.bytes) < due {
            let message = format!("{} bytes of a message came in {} s", self.bytes, self.waited.as_secs());
            return Err(stalled(message));
        }
        Ok(data)
    }
}

async fn within<T>(time: Duration, what: &str, next: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(time, next).await.unwrap_or_else(|_| Err(stalled(format!("{what} did not come within {time:?}"))))
}

fn stalled(message: String) -> Error {
    Error::new(codes::REQUEST_STALLED, message).hint("send each message without a pause; collect the rows before")
}

#[cfg(test)]
mod tests;
