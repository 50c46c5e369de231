/** How the panel looks, in variables that a page may set; text and ground have a contrast of at least 4.5 to 1. */

export const SHEET = `
:host {
  --_background: var(--chat-background, #fff);
  --_text: var(--chat-text, #1d2129);
  --_muted: var(--chat-muted, #596170);
  --_line: var(--chat-line, #d5d9e0);
  --_question: var(--chat-question, #eef1f6);
  --_accent: var(--chat-accent, #1f5fbf);
  --_on-accent: var(--chat-on-accent, #fff);
  --_alarm: var(--chat-alarm, #b3261e);
  --_radius: var(--chat-radius, 0.75rem);
  display: flex;
  flex-direction: column;
  box-sizing: border-box;
  height: var(--chat-height, 30rem);
  max-height: 100%;
  overflow: hidden;
  border: 1px solid var(--_line);
  border-radius: var(--_radius);
  background: var(--_background);
  color: var(--_text);
  font: var(--chat-font, 1rem/1.5 system-ui, sans-serif);
}
@media (prefers-color-scheme: dark) {
  :host {
    --_background: var(--chat-background, #16181d);
    --_text: var(--chat-text, #e6e8ec);
    --_muted: var(--chat-muted, #a2aab8);
    --_line: var(--chat-line, #3a404b);
    --_question: var(--chat-question, #262a33);
    --_accent: var(--chat-accent, #8ab4f8);
    --_on-accent: var(--chat-on-accent, #10131a);
    --_alarm: var(--chat-alarm, #f2b8b5);
  }
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
header, form, footer { flex: none; display: flex; align-items: center; gap: 0.5rem; padding: 0.5rem 0.75rem; }
header { border-bottom: 1px solid var(--_line); }
h2 { flex: 1; margin: 0; font-size: 1em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.log { flex: 1; overflow-y: auto; overflow-wrap: anywhere; padding: 0.75rem; display: flex; flex-direction: column; gap: 0.75rem; }
.log > button { align-self: center; }
article { max-width: 100%; }
article[data-role="user"] { align-self: flex-end; max-width: 85%; padding: 0.4rem 0.75rem; border-radius: var(--_radius); background: var(--_question); }
.text { white-space: pre-wrap; }
.rich { white-space: normal; }
.rich > * { margin: 0.5em 0; }
.rich > :first-child { margin-top: 0; }
.rich > :last-child { margin-bottom: 0; }
.rich :is(h3, h4, h5, h6) { font-size: 1.05em; }
.rich :is(pre, code) { border-radius: calc(var(--_radius) / 3); background: var(--_question); font: 0.9em/1.45 ui-monospace, monospace; }
.rich code { padding: 0.1em 0.25em; }
.rich pre { padding: 0.5em 0.75em; overflow-x: auto; }
.rich pre code { padding: 0; }
.rich :is(ul, ol) { padding-left: 1.5em; }
.rich blockquote { padding-left: 0.75em; border-left: 3px solid var(--_line); color: var(--_muted); }
.rich table { display: block; overflow-x: auto; border-collapse: collapse; }
.rich :is(th, td) { padding: 0.2em 0.6em; border: 1px solid var(--_line); text-align: start; }
.rich a { color: var(--_accent); }
.note { color: var(--_muted); font-size: 0.875em; }
article[data-state="failed"] .note { color: var(--_alarm); }
article[data-state="running"] .text:not(.rich)::after { content: "▍"; color: var(--_accent); }
details { color: var(--_muted); font-size: 0.875em; }
details > div { white-space: pre-wrap; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
form { border-top: 1px solid var(--_line); align-items: flex-end; }
textarea {
  flex: 1; min-width: 0; max-height: 8em; padding: 0.4rem 0.6rem; resize: none; field-sizing: content;
  border: 1px solid var(--_muted); border-radius: calc(var(--_radius) / 2);
  background: var(--_background); color: inherit; font: inherit;
}
button {
  padding: 0.4rem 0.8rem; border: 1px solid var(--_muted); border-radius: calc(var(--_radius) / 2);
  background: none; color: inherit; font: inherit; cursor: pointer;
}
button.main { border-color: var(--_accent); background: var(--_accent); color: var(--_on-accent); }
button:focus-visible, textarea:focus-visible, .log:focus-visible, summary:focus-visible { outline: 2px solid var(--_accent); outline-offset: 1px; }
footer { justify-content: space-between; padding-top: 0; min-height: 1.75rem; color: var(--_muted); font-size: 0.8125em; }
.excess { color: var(--_alarm); }
`;
