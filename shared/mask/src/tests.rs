//! Examples of each detector, and what holds for any text.

mod any_text;
mod examples;
