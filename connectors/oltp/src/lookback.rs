//! How far back orders are fetched again.

use std::str::FromStr;

use chrono::{Datelike, Days, NaiveDate, Weekday};

/// Which orders an extract takes. An order's row does not say when it was changed, so each extract
/// takes the orders of the newest days again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookback {
    /// The orders of the day of the extract and of this many days before it.
    Days(u32),
    /// All orders.
    All,
}

/// The day of the week on which an extract takes all orders. What was changed beyond the lookback
/// then arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FullExtractDay(Option<Weekday>);

/// Not a lookback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is neither a number of days, such as 30, nor all")]
pub struct NotALookback;

impl Lookback {
    /// Returns the first day of the orders that an extract of `date` takes; none for all orders.
    #[must_use]
    pub fn since(self, date: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Days(days) => {
                Some(date.checked_sub_days(Days::new(days.into())).unwrap_or(NaiveDate::MIN))
            }
            Self::All => None,
        }
    }
}

/// Not a day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is neither a day of the week, such as sun, nor never")]
pub struct NotAWeekday;

impl FullExtractDay {
    /// Returns whether an extract of `date` takes all orders.
    #[must_use]
    pub fn is(self, date: NaiveDate) -> bool {
        self.0 == Some(date.weekday())
    }
}

impl Default for FullExtractDay {
    fn default() -> Self {
        Self(Some(Weekday::Sun))
    }
}

impl FromStr for FullExtractDay {
    type Err = NotAWeekday;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "never" => Ok(Self(None)),
            day => day.parse().map(|day| Self(Some(day))).map_err(|_| NotAWeekday),
        }
    }
}

impl Default for Lookback {
    fn default() -> Self {
        Self::Days(30)
    }
}

impl FromStr for Lookback {
    type Err = NotALookback;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self::All),
            days => days.parse().map(Self::Days).map_err(|_| NotALookback),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_back_from_the_day_of_the_extract() {
        let date = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
        let since = |text: &str| text.parse::<Lookback>().unwrap().since(date);

        assert_eq!(since("0"), Some(date));
        assert_eq!(since("2"), NaiveDate::from_ymd_opt(2026, 2, 28));
        assert_eq!(since("4294967295"), Some(NaiveDate::MIN), "before any sale");
        assert_eq!(since("all"), None);
    }

    #[test]
    fn all_orders_are_taken_on_one_day_of_the_week_or_never() {
        let days = |text: &str| {
            let day = text.parse::<FullExtractDay>().unwrap();
            (1..=14).filter(|n| day.is(NaiveDate::from_ymd_opt(2026, 3, *n).unwrap())).collect()
        };

        let found: [Vec<u32>; 3] = [days("sun"), days("wed"), days("never")];
        assert_eq!(found, [vec![1, 8], vec![4, 11], vec![]]);
        assert_eq!(FullExtractDay::default(), "sun".parse().unwrap());
        for text in ["", "7", "weekly"] {
            assert_eq!(text.parse::<FullExtractDay>(), Err(NotAWeekday), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_not_a_lookback_is_rejected() {
        for text in ["", "-1", "7d", "1.5", "All", "everything"] {
            assert_eq!(text.parse::<Lookback>(), Err(NotALookback), "{text}");
        }
    }
}
