/** Makes a box for text as high as its text, whenever that changes; its style sets a bound. */

export function growing(text: () => string): (box: HTMLTextAreaElement) => void {
  return (box) => {
    text();
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight}px`;
  };
}
