//! Dates and timestamps, as PostgreSQL counts them (from the beginning of 2000) and writes them (ISO 8601, in the
//! Gregorian calendar also before there was one, and years before the first as BC).

/// Days from the beginning of March of the year 0 to that of 2000.
const DAYS_TO_2000: i64 = 730_425;
/// Days of 400 years.
const DAYS_OF_ERA: i64 = 146_097;
/// Microseconds of a day and of a second.
const DAY: i64 = 86_400 * SECOND;
const SECOND: i64 = 1_000_000;
/// The days that there can be: from the 24th of November of 4714 BC, the first of the Julian day count, to before this.
const FIRST_DAY: i32 = -2_451_545;
const END_OF_DAYS: i32 = 2_145_031_949;
/// The microseconds that there can be.
const FIRST_MOMENT: i64 = -211_813_488_000_000_000;
const END_OF_TIME: i64 = 9_223_371_331_200_000_000;

/// A date, of days since the beginning of 2000; `None` if there is none.
pub(super) fn date(days: i32) -> Option<String> {
    match days {
        i32::MAX => Some("infinity".to_owned()),
        i32::MIN => Some("-infinity".to_owned()),
        FIRST_DAY..END_OF_DAYS => {
            let (day, era) = day(days.into());
            Some(format!("{day}{era}"))
        }
        _ => None,
    }
}

/// A date and a time of it, of microseconds since the beginning of 2000, followed by `zone`; `None` if there is none.
pub(super) fn timestamp(microseconds: i64, zone: &str) -> Option<String> {
    match microseconds {
        i64::MAX => Some("infinity".to_owned()),
        i64::MIN => Some("-infinity".to_owned()),
        FIRST_MOMENT..END_OF_TIME => {
            let (day, era) = day(microseconds.div_euclid(DAY));
            let of_day = microseconds.rem_euclid(DAY);
            let (seconds, fraction) = (of_day / SECOND, fraction(of_day % SECOND));
            let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            Some(format!("{day} {hours:02}:{minutes:02}:{seconds:02}{fraction}{zone}{era}"))
        }
        _ => None,
    }
}

/// Year, month and day, and what follows them.
fn day(since_2000: i64) -> (String, &'static str) {
    // Years that begin in March end with the day that some of them do not have, and months of them are 153 days in
    // fives.
    let days = since_2000 + DAYS_TO_2000;
    let (era, day_of_era) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_of_year = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_of_year + 2) / 5 + 1;
    let (month, next) = if month_of_year < 10 { (month_of_year + 3, 0) } else { (month_of_year - 9, 1) };
    let year = year_of_era + era * 400 + next;
    // There is no year 0: 1 BC is the one before 1.
    let (year, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    (format!("{year:04}-{month:02}-{day:02}"), era)
}

fn fraction(microseconds: i64) -> String {
    if microseconds == 0 {
        return String::new();
    }
    format!(".{microseconds:06}").trim_end_matches('0').to_owned()
}
