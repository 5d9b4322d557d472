"""A user's module: models of every kind that can be their own, and some that cannot."""

import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

WIDTH = 6


class Net(nn.Module):
    def __init__(self, n_features, n_classes):
        super().__init__()
        self.hidden = nn.Linear(n_features, WIDTH)
        self.drop = nn.Dropout(0.2)
        self.last = nn.Linear(WIDTH, n_classes)

    def forward(self, x):
        return self.last(self.drop(torch.relu(self.hidden(x))))


def make_net(n_features, n_classes):
    return Net(n_features, n_classes)


def make_linear(n_features, n_classes):
    return nn.Linear(n_features, n_classes)


def one_logit(n_features, n_classes):
    return nn.Linear(n_features, 1)


def softmaxed(n_features, n_classes):
    return nn.Sequential(nn.Linear(n_features, n_classes), nn.Softmax(1))


def forest():
    return RandomForestClassifier(10)


def nothing(n_features, n_classes):
    pass


def three(a, b, c):
    pass


logistic = LogisticRegression()
neighbours = KNeighborsClassifier()
built = nn.Linear(2, 2)
number = 3
