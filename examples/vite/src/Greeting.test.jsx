import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, test } from 'vitest';

import { Greeting } from './Greeting.jsx';

test('it counts', async () => {
  render(<Greeting />);
  const button = screen.getByRole('button');
  await userEvent.click(button);
  expect(button).toHaveTextContent('clicked 1 times');
});
