/** The chat page: its words are chosen by the browser's language, then it is put together. */

import { mount } from "svelte";
import App from "./parts/App.svelte";
import "./style/ground.css";
import { chooseLanguage } from "./words/say.ts";

await chooseLanguage(navigator.language);
mount(App, { target: document.body });
