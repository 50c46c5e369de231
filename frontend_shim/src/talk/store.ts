/** Where a page remembers its conversation. */

import type { Store } from "../client.ts";

/** The session's store; a browser may refuse it by throwing as soon as it is named. */
export function sessionStore(view: Window): Store | undefined {
  try {
    return view.sessionStorage;
  } catch {
    return undefined;
  }
}
